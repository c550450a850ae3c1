// Package consul is the store driver for Consul 1.7 and later: a journal.Backend. Names are keys under one prefix, holds
// are keys that a session has acquired, and which Consul deletes when the session ends.
package consul

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"berth/runtime/store/journal"
)

// DefaultPort is Consul's HTTP port, for addresses without one. HTTPS has 8501 by custom.
const (
	DefaultPort    = "8500"
	DefaultTLSPort = "8501"
)

// opsAtOnce is how many operations Consul took in a transaction until it was 128.
const opsAtOnce = 64

// waitTime is how long a request for a change may be under way before it is made again.
const waitTime = 5 * time.Minute

// Config says where a Consul is and how to get there.
type Config struct {
	Servers []string // host:port of servers or agents; one is asked, another when it does not answer
	Prefix  string   // of the store's keys, without slashes at its ends
	Token   string   // ACL token; it has to be allowed keys under Prefix (read, write) and sessions (write)
	TLS     *tls.Config
	// Dial connects to a server (host:port) where a plain TCP connection is not the way. ctx is for dialling only. nil
	// dials TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	journal.Options
}

// Open connects to Consul and reads the store, or makes it. While no server can be connected to it keeps trying, until
// Connect or ctx ends it.
func Open(ctx context.Context, cfg Config) (*journal.Client, error) {
	b, err := newBackend(cfg)
	if err != nil {
		return nil, err
	}
	return journal.Open(ctx, b, cfg.Options)
}

// backend is the journal.Backend.
type backend struct {
	cfg       Config
	clients   []*api.Client // by server
	asked     atomic.Int64  // index of the server that is asked
	transport *transport
}

func newBackend(cfg Config) (*backend, error) {
	if len(cfg.Servers) == 0 {
		return nil, errors.New("store: consul has no servers; write store: consul://host:8500/prefix in hosts.yml")
	}
	dial := cfg.Dial
	if dial == nil {
		// A server that vanished without a word is found out in about 15 s, however long a request waits for changes.
		d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 6 * time.Second, Interval: 3 * time.Second, Count: 3}}
		dial = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
	b := &backend{cfg: cfg, transport: &transport{http.Transport{
		// No proxy: stores are on the local network.
		DialContext:         func(ctx context.Context, _, addr string) (net.Conn, error) { return dial(ctx, addr) },
		TLSClientConfig:     cfg.TLS,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     time.Minute,
	}}}
	scheme := "http"
	if cfg.TLS != nil {
		scheme = "https"
	}
	for _, s := range cfg.Servers {
		cl, err := api.NewClient(&api.Config{Address: s, Scheme: scheme, Token: cfg.Token, HttpClient: &http.Client{Transport: b.transport}})
		if err != nil {
			return nil, fmt.Errorf("store: consul: %w", err)
		}
		b.clients = append(b.clients, cl)
	}
	return b, nil
}

// String names the store as hosts.yml does.
func (b *backend) String() string {
	scheme := "consul"
	if b.cfg.TLS != nil {
		scheme = "consuls"
	}
	return scheme + "://" + strings.Join(b.cfg.Servers, ",") + "/" + b.cfg.Prefix
}

func (b *backend) key(name string) string { return b.cfg.Prefix + "/" + name }

// Close implements journal.Backend.
func (b *backend) Close() error {
	b.transport.CloseIdleConnections()
	return nil
}

// client is the server to ask, and what to do with the error of the request to it.
func (b *backend) client() (*api.Client, func(error) error) {
	i := b.asked.Load()
	return b.clients[i], func(err error) error {
		var status api.StatusError
		if err != nil && (!errors.As(err, &status) || status.Code >= 500) && !errors.Is(err, context.Canceled) {
			b.asked.CompareAndSwap(i, (i+1)%int64(len(b.clients)))
		}
		return b.explain(err)
	}
}

func query(ctx context.Context, q api.QueryOptions) *api.QueryOptions { return q.WithContext(ctx) }

func write(ctx context.Context) *api.WriteOptions { return (&api.WriteOptions{}).WithContext(ctx) }

// Head implements journal.Backend. The server that leads makes sure that it still does before it answers.
func (b *backend) Head(ctx context.Context, _ int64) (journal.Head, error) {
	cl, done := b.client()
	pair, _, err := cl.KV().Get(b.key(journal.HeadName), query(ctx, api.QueryOptions{RequireConsistent: true}))
	return head(pair), done(err)
}

func head(pair *api.KVPair) journal.Head {
	if pair == nil {
		return journal.Head{Version: journal.Absent}
	}
	return journal.Head{Value: pair.Value, Version: int64(pair.ModifyIndex)}
}

// Next implements journal.Backend.
func (b *backend) Next(ctx context.Context, known int64) (journal.Head, error) {
	for {
		h, err := b.next(ctx, known)
		if err != nil || h.Version != known {
			return h, err
		}
	}
}

func (b *backend) next(ctx context.Context, known int64) (journal.Head, error) {
	ctx, cancel := waiting(ctx)
	defer cancel()
	cl, done := b.client()
	pair, _, err := cl.KV().Get(b.key(journal.HeadName), query(ctx, api.QueryOptions{WaitIndex: uint64(max(known, 0)), WaitTime: waitTime}))
	return head(pair), done(err)
}

// waiting bounds a request that waits for a change: Consul adds up to a sixteenth to the time that it is asked to wait.
func waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, waitTime+waitTime/16+10*time.Second)
}

// Append implements journal.Backend.
func (b *backend) Append(ctx context.Context, at int64, value []byte, name string, record []byte) (int64, error) {
	ops := api.TxnOps{
		// Index 0: only if it is not there.
		{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: b.key(journal.HeadName), Value: value, Index: uint64(max(at, 0))}},
		{KV: &api.KVTxnOp{Verb: api.KVSet, Key: b.key(name), Value: record}},
	}
	if at == journal.Absent {
		// Who waits for a change under an empty prefix is told of every change of any key: so it never is empty.
		ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVSet, Key: b.key(journal.Holds) + "/none"}})
	}
	cl, done := b.client()
	ok, resp, _, err := cl.Txn().Txn(ops, query(ctx, api.QueryOptions{}))
	switch {
	case err != nil:
		return 0, done(err)
	case !ok && len(resp.Errors) > 0 && strings.Contains(resp.Errors[0].What, "index is stale"):
		return 0, journal.ErrMoved
	case !ok:
		return 0, b.refused(resp.Errors)
	case len(resp.Results) == 0 || resp.Results[0].KV == nil:
		return 0, errors.New("it answered a transaction without its result")
	}
	return int64(resp.Results[0].KV.ModifyIndex), nil
}

// Read implements journal.Backend.
func (b *backend) Read(ctx context.Context, names []string) ([][]byte, error) {
	var out [][]byte
	for some := range slices.Chunk(names, opsAtOnce) {
		var ops api.TxnOps
		for _, name := range some {
			ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVGet, Key: b.key(name)}})
		}
		cl, done := b.client()
		ok, resp, _, err := cl.Txn().Txn(ops, query(ctx, api.QueryOptions{RequireConsistent: true}))
		switch {
		case err != nil:
			return nil, done(err)
		case !ok && len(resp.Errors) > 0 && strings.Contains(resp.Errors[0].What, "doesn't exist"):
			return nil, journal.ErrGone
		case !ok:
			return nil, b.refused(resp.Errors)
		case len(resp.Results) != len(some):
			return nil, fmt.Errorf("it answered a transaction of %d reads with %d results", len(some), len(resp.Results))
		}
		for _, r := range resp.Results {
			out = append(out, r.KV.Value)
		}
	}
	return out, nil
}

// Write implements journal.Backend.
func (b *backend) Write(ctx context.Context, name string, value []byte) error {
	cl, done := b.client()
	_, err := cl.KV().Put(&api.KVPair{Key: b.key(name), Value: value}, write(ctx))
	return done(err)
}

// List implements journal.Backend.
func (b *backend) List(ctx context.Context, folder string) ([]string, error) {
	cl, done := b.client()
	keys, _, err := cl.KV().Keys(b.key(folder)+"/", "", query(ctx, api.QueryOptions{}))
	return b.under(folder, keys), done(err)
}

// under cuts the folder off keys.
func (b *backend) under(folder string, keys []string) []string {
	for i := range keys {
		keys[i] = strings.TrimPrefix(keys[i], b.key(folder)+"/")
	}
	return keys
}

// Delete implements journal.Backend.
func (b *backend) Delete(ctx context.Context, names []string) error {
	for some := range slices.Chunk(names, opsAtOnce) {
		var ops api.TxnOps
		for _, name := range some {
			ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVDelete, Key: b.key(name)}})
		}
		cl, done := b.client()
		ok, resp, _, err := cl.Txn().Txn(ops, query(ctx, api.QueryOptions{}))
		if err != nil {
			return done(err)
		}
		if !ok {
			return b.refused(resp.Errors)
		}
	}
	return nil
}

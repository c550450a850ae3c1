// Package external opens a store that is there already, from its address in hosts.yml. It is the one place that knows
// which schemes there are.
package external

import (
	"context"
	"fmt"
	"strings"
	"time"

	"berth/runtime/store"
	"berth/runtime/store/address"
	"berth/runtime/store/consul"
	"berth/runtime/store/etcd"
	"berth/runtime/store/journal"
	"berth/runtime/store/zookeeper"
)

// Options are the time limits of a store.
type Options struct {
	Timeout time.Duration // of each request; the driver's own if zero
	Connect time.Duration // of Open; Timeout if zero
}

// opener opens the store of a checked address.
type opener func(ctx context.Context, o Options) (store.Store, error)

// Open opens the store at an address: etcd://, zk:// or consul://, or these with an s for TLS. Relative files that its
// options name lie in dir. The packages' ParseURL say what an address may be.
func Open(ctx context.Context, raw, dir string, o Options) (store.Store, error) {
	open, err := parse(raw, dir)
	if err != nil {
		return nil, err
	}
	return open(ctx, o)
}

// Ship makes of an address the one that a host's agent opens, and the files that go there, by name: certificates and
// secrets (address.Files). They lie beside each other; the agent's Open has their folder as dir.
func Ship(raw, dir string) (string, map[string][]byte, error) {
	if _, err := parse(raw, dir); err != nil {
		return "", nil, err
	}
	var extra map[string]string
	if scheme(raw) == "consul" {
		extra = consul.Environment()
	}
	return address.Ship(raw, dir, extra)
}

// scheme is the one of an address, without the s that means TLS.
func scheme(raw string) string {
	s, _, _ := strings.Cut(raw, "://")
	return strings.TrimSuffix(s, "s")
}

func parse(raw, dir string) (opener, error) {
	switch scheme(raw) {
	case "etcd":
		cfg, err := etcd.ParseURL(raw, dir)
		return func(ctx context.Context, o Options) (store.Store, error) {
			cfg.Timeout, cfg.Connect = o.Timeout, o.Connect
			return etcd.Open(ctx, cfg)
		}, err
	case "zk":
		cfg, err := zookeeper.ParseURL(raw, dir)
		return func(ctx context.Context, o Options) (store.Store, error) {
			cfg.Options = journal.Options(o)
			return opened(zookeeper.Open(ctx, cfg))
		}, err
	case "consul":
		cfg, err := consul.ParseURL(raw, dir)
		return func(ctx context.Context, o Options) (store.Store, error) {
			cfg.Options = journal.Options(o)
			return opened(consul.Open(ctx, cfg))
		}, err
	}
	return nil, fmt.Errorf("store: %s: it is no store; write store: embedded, etcd://host:2379, zk://host:2181/path or consul://host:8500/prefix in hosts.yml",
		address.Redact(raw))
}

// opened keeps a client that is nil from becoming a store that is not.
func opened(c *journal.Client, err error) (store.Store, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Package zookeeper is the store driver for ZooKeeper 3.5 and later: a journal.Backend. Names are nodes under one path,
// holds are ephemeral nodes, each of a session of its own, because a session has one timeout.
package zookeeper

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"berth/runtime/store/journal"
)

// DefaultPort is ZooKeeper's client port, for addresses without one.
const DefaultPort = "2181"

// sessionTime is the timeout of the session that requests go through. It holds nothing at the server but watches; a
// server that fell silent is given up after two thirds of it.
const sessionTime = 6 * time.Second

// Config says where a ZooKeeper is and how to get there.
type Config struct {
	Servers []string // host:port of the ensemble's members, or of some of them
	Path    string   // of the node that the store lies under, with a leading slash
	// User and Password are for digest authentication; nodes are then made for this user alone. Empty: for everybody.
	User, Password string
	TLS            *tls.Config // nil: plain text
	// Dial connects to a server (host:port) where a plain TCP connection is not the way. ctx is for dialling only. nil
	// dials TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	journal.Options
}

// Open connects to the ensemble and reads the store, or makes it. While no server can be connected to it keeps trying,
// until Connect or ctx ends it.
func Open(ctx context.Context, cfg Config) (*journal.Client, error) {
	b, err := newBackend(cfg)
	if err != nil {
		return nil, err
	}
	return journal.Open(ctx, b, cfg.Options)
}

// backend is the journal.Backend.
type backend struct {
	cfg  Config
	acl  []zk.ACL
	main *session
	wg   sync.WaitGroup // sessions of holds that end
}

func newBackend(cfg Config) (*backend, error) {
	if len(cfg.Servers) == 0 {
		return nil, errors.New("store: zookeeper has no servers; write store: zk://host:2181/path in hosts.yml")
	}
	b := &backend{cfg: cfg, acl: zk.WorldACL(zk.PermAll)}
	if cfg.User != "" {
		b.acl = zk.AuthACL(zk.PermAll)
	}
	var err error
	b.main, err = connect(cfg, sessionTime)
	return b, err
}

// String names the store as hosts.yml does.
func (b *backend) String() string {
	scheme := "zk"
	if b.cfg.TLS != nil {
		scheme = "zks"
	}
	return scheme + "://" + strings.Join(b.cfg.Servers, ",") + b.cfg.Path
}

func (b *backend) path(name string) string { return b.cfg.Path + "/" + name }

// Close implements journal.Backend.
func (b *backend) Close() error {
	b.main.close()
	b.wg.Wait()
	return nil
}

// Head implements journal.Backend. A transaction that only checks is agreed upon by most of the servers like any other,
// and answered by this one after all that was before it; a plain read may be of an older state.
func (b *backend) Head(ctx context.Context, known int64) (journal.Head, error) {
	for {
		before := b.main.conn.SessionID()
		current, err := b.agree(ctx, known)
		if err != nil || current {
			return journal.Head{Version: known}, err
		}
		h, err := b.head(ctx)
		if err != nil || b.main.conn.SessionID() == before {
			return h, err
		}
		// Another session may have begun at a server that lags: ask anew.
	}
}

// agree waits until all that was committed before is seen through this session, and reports whether the head is at that
// version.
func (b *backend) agree(ctx context.Context, version int64) (bool, error) {
	check := &zk.CheckVersionRequest{Path: b.path(journal.HeadName), Version: int32(max(version, 0))}
	_, err := call(ctx, b.main, func(c *zk.Conn) ([]zk.MultiResponse, error) { return c.Multi(check) })
	if errors.Is(err, zk.ErrBadVersion) || errors.Is(err, zk.ErrNoNode) {
		return false, nil
	}
	return err == nil && version != journal.Absent, b.explain(err)
}

func (b *backend) head(ctx context.Context) (journal.Head, error) {
	h, err := call(ctx, b.main, func(c *zk.Conn) (journal.Head, error) {
		value, stat, err := c.Get(b.path(journal.HeadName))
		if err != nil {
			return journal.Head{}, err
		}
		return journal.Head{Value: value, Version: int64(stat.Version)}, nil
	})
	if errors.Is(err, zk.ErrNoNode) {
		return journal.Head{Version: journal.Absent}, nil
	}
	return h, b.explain(err)
}

// Next implements journal.Backend.
func (b *backend) Next(ctx context.Context, known int64) (journal.Head, error) {
	type seen struct {
		journal.Head
		event <-chan zk.Event
	}
	for {
		s, err := call(ctx, b.main, func(c *zk.Conn) (seen, error) {
			value, stat, event, err := c.GetW(b.path(journal.HeadName))
			if errors.Is(err, zk.ErrNoNode) {
				return seen{journal.Head{Version: journal.Absent}, nil}, nil
			}
			if err != nil {
				return seen{}, err
			}
			return seen{journal.Head{Value: value, Version: int64(stat.Version)}, event}, nil
		})
		if err != nil || s.Version != known {
			return s.Head, b.explain(err)
		}
		if s.event == nil {
			return s.Head, errors.New("there is no head")
		}
		if err := b.await(ctx, s.event); err != nil {
			return journal.Head{}, err
		}
	}
}

// await waits for a watch's one event.
func (b *backend) await(ctx context.Context, event <-chan zk.Event) error {
	select {
	case e := <-event:
		return b.explain(e.Err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Append implements journal.Backend.
func (b *backend) Append(ctx context.Context, at int64, head []byte, name string, value []byte) (int64, error) {
	entry := &zk.CreateRequest{Path: b.path(name), Data: value, Acl: b.acl}
	if at == journal.Absent {
		return 0, b.begin(ctx, head, entry)
	}
	set := &zk.SetDataRequest{Path: b.path(journal.HeadName), Data: head, Version: int32(at)}
	done, err := call(ctx, b.main, func(c *zk.Conn) ([]zk.MultiResponse, error) { return c.Multi(set, entry) })
	switch {
	case errors.Is(err, zk.ErrBadVersion), errors.Is(err, zk.ErrNoNode):
		return 0, journal.ErrMoved
	case errors.Is(err, zk.ErrNodeExists):
		return 0, &journal.Refused{Err: fmt.Errorf("%s exists before its time; somebody else writes under %s", b.path(name), b.cfg.Path)}
	case err != nil:
		return 0, b.explain(err)
	}
	return int64(done[0].Stat.Version), nil
}

// Read implements journal.Backend. All requests are under way at once.
func (b *backend) Read(ctx context.Context, names []string) ([][]byte, error) {
	values := make([][]byte, len(names))
	err := b.all(ctx, len(names), func(c *zk.Conn, i int) (err error) {
		values[i], _, err = c.Get(b.path(names[i]))
		return err
	})
	if errors.Is(err, zk.ErrNoNode) {
		return nil, journal.ErrGone
	}
	if err != nil {
		return nil, b.explain(err)
	}
	return values, nil
}

// all makes n requests at once and returns the first error. What they write to must not be read if there is one.
func (b *backend) all(ctx context.Context, n int, request func(c *zk.Conn, i int) error) error {
	_, err := call(ctx, b.main, func(c *zk.Conn) (struct{}, error) {
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { errs[i] = request(c, i) })
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return err
}

// Write implements journal.Backend.
func (b *backend) Write(ctx context.Context, name string, value []byte) error {
	_, err := call(ctx, b.main, func(c *zk.Conn) (string, error) {
		path, err := c.Create(b.path(name), value, 0, b.acl)
		if errors.Is(err, zk.ErrNodeExists) {
			_, err = c.Set(path, value, -1)
		}
		return path, err
	})
	return b.explain(err)
}

// List implements journal.Backend.
func (b *backend) List(ctx context.Context, folder string) ([]string, error) {
	names, err := call(ctx, b.main, func(c *zk.Conn) ([]string, error) {
		names, _, err := c.Children(b.path(folder))
		return names, err
	})
	return names, b.explain(err)
}

// deleteAtOnce is how many nodes are deleted by requests that are under way at once.
const deleteAtOnce = 64

// Delete implements journal.Backend.
func (b *backend) Delete(ctx context.Context, names []string) error {
	for some := range slices.Chunk(names, deleteAtOnce) {
		err := b.all(ctx, len(some), func(c *zk.Conn, i int) error {
			err := c.Delete(b.path(some[i]), -1)
			if errors.Is(err, zk.ErrNoNode) {
				return nil
			}
			return err
		})
		if err != nil {
			return b.explain(err)
		}
	}
	return nil
}

// explain tells the journal what an error of the client means for it.
func (b *backend) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, zk.ErrNoServer):
		return &journal.Unsent{Err: b.main.why()}
	case errors.Is(err, zk.ErrNoAuth), errors.Is(err, zk.ErrAuthFailed), errors.Is(err, zk.ErrInvalidACL):
		return &journal.Refused{Err: fmt.Errorf("it does not let us at %s; give the user of its nodes with auth_file= in hosts.yml", b.cfg.Path)}
	case errors.Is(err, zk.ErrConnectionClosed), errors.Is(err, zk.ErrClosing):
		return b.main.why()
	}
	return err
}

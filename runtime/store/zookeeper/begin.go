package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-zookeeper/zk"

	"berth/runtime/store/journal"
)

// begin makes the head and what lies beside it.
func (b *backend) begin(ctx context.Context, head []byte, entry *zk.CreateRequest) error {
	parents := strings.Split(strings.Trim(b.cfg.Path, "/"), "/")
	for i := range parents {
		// Above the store's own node others may have theirs.
		acl := zk.WorldACL(zk.PermAll)
		if i == len(parents)-1 {
			acl = b.acl
		}
		if err := b.ensure(ctx, "/"+strings.Join(parents[:i+1], "/"), acl); err != nil {
			return err
		}
	}
	for _, folder := range []string{journal.Log, journal.Blobs, journal.Holds} {
		if err := b.ensure(ctx, b.path(folder), b.acl); err != nil {
			return err
		}
	}
	make := &zk.CreateRequest{Path: b.path(journal.HeadName), Data: head, Acl: b.acl}
	_, err := call(ctx, b.main, func(c *zk.Conn) ([]zk.MultiResponse, error) { return c.Multi(make, entry) })
	if !errors.Is(err, zk.ErrNodeExists) {
		return b.explain(err)
	}
	if h, err := b.head(ctx); err != nil || h.Version != journal.Absent {
		return journal.ErrMoved
	}
	return &journal.Refused{Err: fmt.Errorf("%s holds the rest of a store whose head is gone; delete it (zkCli.sh deleteall %s), or choose another path in hosts.yml",
		b.cfg.Path, b.cfg.Path)}
}

// ensure makes a node if it is not there.
func (b *backend) ensure(ctx context.Context, path string, acl []zk.ACL) error {
	_, err := call(ctx, b.main, func(c *zk.Conn) (bool, error) {
		there, _, err := c.Exists(path)
		if err == nil && !there {
			_, err = c.Create(path, nil, 0, acl)
		}
		return there, err
	})
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return b.explain(err)
}

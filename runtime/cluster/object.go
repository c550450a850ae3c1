package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"berth/runtime/agent"
	"berth/runtime/engine"
	"berth/runtime/ledger"
	"berth/runtime/store"
)

// sealKeyFile holds the cluster's key on each host of a cluster with an external store; with the embedded one it is part
// of the access on the store members.
const sealKeyFile = agent.Dir + "/seal.key"

// Limits of the contents of external secrets and configs, bytes; docker's own, and within what a store takes at once.
const (
	maxSecret = 500 << 10
	maxConfig = 1000 << 10
)

var objectName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9])?$`)

// CreateObject keeps a secret or config of that name, sealed, in the store. kind is ledger.Secret or ledger.Config. One
// that is there stays as it is: that is an error. The store must be open.
func (c *Cluster) CreateObject(ctx context.Context, kind, name string, content []byte, labels map[string]string) error {
	limit := maxSecret
	if kind == ledger.Config {
		limit = maxConfig
	}
	switch {
	case !objectName.MatchString(name):
		return fmt.Errorf("create %s %q: a name has up to 64 letters, digits and _.- between letters or digits", kind, name)
	case len(content) == 0 && kind == ledger.Secret:
		return fmt.Errorf("create %s %s: it is empty", kind, name)
	case len(content) > limit:
		return fmt.Errorf("create %s %s: it has %d bytes, the most is %d", kind, name, len(content), limit)
	}
	key, err := c.sealKey(ctx)
	if err != nil {
		return fmt.Errorf("create %s %s: %w", kind, name, err)
	}
	sealed, err := seal(key, kind+"/"+name, content)
	if err != nil {
		return fmt.Errorf("create %s %s: %w", kind, name, err)
	}
	value, err := json.Marshal(ledger.Object{Created: time.Now().UTC().Truncate(time.Second), Labels: labels, Sealed: sealed})
	if err != nil {
		return err
	}
	at := ledger.ObjectKey(kind, name)
	_, err = c.store.Commit(ctx, store.Txn{Compares: []store.Compare{{Key: at}}, Puts: []store.Put{{Key: at, Value: value}}})
	if errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("create %s %s: there is one of that name; remove it first, or take another name", kind, name)
	}
	if err != nil {
		return fmt.Errorf("create %s %s: %w", kind, name, err)
	}
	return nil
}

// Object is an external secret or config without its content.
type Object struct {
	Name    string
	Created time.Time
	Labels  map[string]string
}

// Objects lists the external secrets or configs by name. The store must be open.
func (c *Cluster) Objects(ctx context.Context, kind string) ([]Object, error) {
	view, err := c.View(ctx)
	if err != nil {
		return nil, err
	}
	var all []Object
	for at, o := range view.Objects {
		if name, ok := strings.CutPrefix(at, kind+"/"); ok {
			all = append(all, Object{name, o.Created, o.Labels})
		}
	}
	slices.SortFunc(all, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// ObjectContent is the content of an external config; that of a secret is not given out.
func (c *Cluster) ObjectContent(ctx context.Context, name string) ([]byte, error) {
	view, err := c.View(ctx)
	if err != nil {
		return nil, err
	}
	return c.open(ctx, view, ledger.Config, name)
}

// RemoveObject removes an external secret or config. Containers that have it keep their copy. The store must be open.
func (c *Cluster) RemoveObject(ctx context.Context, kind, name string) error {
	at := ledger.ObjectKey(kind, name)
	snap, err := c.store.Get(ctx, at)
	if err != nil {
		return fmt.Errorf("remove %s %s: %w", kind, name, err)
	}
	i := slices.IndexFunc(snap.Pairs, func(p store.Pair) bool { return p.Key == at })
	if i < 0 {
		return fmt.Errorf("remove %s %s: there is none of that name", kind, name)
	}
	if _, err := c.store.Commit(ctx, store.Txn{Deletes: []string{at}}); err != nil {
		return fmt.Errorf("remove %s %s: %w", kind, name, err)
	}
	return nil
}

// open reads the content of one object of the view.
func (c *Cluster) open(ctx context.Context, view *ledger.View, kind, name string) ([]byte, error) {
	o, ok := view.Objects[kind+"/"+name]
	if !ok {
		return nil, errNoObject
	}
	key, err := c.sealKey(ctx)
	if err != nil {
		return nil, err
	}
	return unseal(key, kind+"/"+name, o.Sealed)
}

var errNoObject = errors.New("there is none of that name in the cluster's store")

// sealKey is the cluster's key, read from its hosts where an external store keeps it from the access.
func (c *Cluster) sealKey(ctx context.Context) ([]byte, error) {
	if c.access == nil {
		return nil, errors.New("the cluster's store is not open")
	}
	if c.access.Seal != nil {
		return c.access.Seal, nil
	}
	if c.embedded() {
		return nil, fmt.Errorf("this cluster was made by a berth that sealed nothing and has no key; take down its projects and remove container and volume %s on each host", AgentName)
	}
	if cached := c.cached(); cached != nil && cached.Cluster == c.access.Cluster && cached.Seal != nil {
		c.access.Seal = cached.Seal
		return cached.Seal, nil
	}
	snaps, err := c.Snapshots(ctx, engine.Query{Light: true}, nil)
	if err != nil {
		return nil, err
	}
	key, err := c.fetchSealKey(ctx, snaps)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, ErrNoCluster
	}
	c.access.Seal = key
	c.cache(c.access)
	return key, nil
}

// fetchSealKey reads the key from the agents' volumes of a cluster with an external store; nil when there is no agent
// yet.
func (c *Cluster) fetchSealKey(ctx context.Context, snaps []engine.Snapshot) ([]byte, error) {
	var last error
	for _, s := range snaps {
		if s.Agent == nil || s.Agent.State == "created" || s.Agent.Cluster != c.access.Cluster {
			continue
		}
		key, err := c.readFile(ctx, s.Host.Name, sealKeyFile)
		if err == nil {
			return key, nil
		}
		last = err
	}
	if last != nil {
		return nil, fmt.Errorf("the cluster's key (%s in volume %s) cannot be read from any host: %w", path.Base(sealKeyFile), AgentName, last)
	}
	return nil, nil
}

// newlySealed gives a cluster with an external store its key before the first agents are made; those that come later
// get the one that is there. The caller is alone (see alone).
func (c *Cluster) newlySealed(ctx context.Context, a *Access) error {
	if c.embedded() || a.Seal != nil {
		return nil
	}
	snaps, err := c.Snapshots(ctx, engine.Query{Light: true}, nil)
	if err != nil {
		return err
	}
	key, err := c.fetchSealKey(ctx, snaps)
	if err != nil {
		return err
	}
	if key == nil {
		key = newSealKey()
	}
	a.Seal = key
	return nil
}

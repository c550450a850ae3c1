package cluster

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"

	"berth/placement"
	"berth/runtime/agent"
	"berth/runtime/engine"
)

// Access is what the command line needs to reach the store.
type Access = agent.Access

// cachePath is where the access of an inventory is kept: named after how its hosts are addressed, so that two
// inventories never share one.
func cachePath(dir string, inv *placement.Inventory) string {
	h := sha256.New()
	for _, host := range inv.Hosts {
		fmt.Fprintf(h, "%s\x00%s\x00%s\x00%s\x00", host.Name, host.Address, host.Context, inv.Store)
	}
	return filepath.Join(dir, hex.EncodeToString(h.Sum(nil))[:24]+".json")
}

// cached reads the access of an earlier command; nil when there is none that can be used.
func (c *Cluster) cached() *Access {
	if c.opts.CacheDir == "" {
		return nil
	}
	b, err := os.ReadFile(cachePath(c.opts.CacheDir, c.inv))
	if err != nil {
		return nil
	}
	var a Access
	if json.Unmarshal(b, &a) != nil || len(a.Endpoints) == 0 || ending(a.Cert) {
		return nil // the store members have a newer one
	}
	return &a
}

// cache keeps the access for the next command, readable by the user alone. Failing costs time later, no more.
func (c *Cluster) cache(a *Access) {
	if c.opts.CacheDir == "" || os.MkdirAll(c.opts.CacheDir, 0o700) != nil {
		return
	}
	b, err := json.Marshal(a)
	if err != nil {
		return
	}
	path := cachePath(c.opts.CacheDir, c.inv)
	tmp, err := os.CreateTemp(c.opts.CacheDir, "access-*")
	if err != nil {
		return
	}
	_, err = tmp.Write(b)
	if errors.Join(err, tmp.Close()) != nil || os.Rename(tmp.Name(), path) != nil {
		os.Remove(tmp.Name())
	}
}

// forget drops a cached access that no longer works.
func (c *Cluster) forget() {
	if c.opts.CacheDir != "" {
		os.Remove(cachePath(c.opts.CacheDir, c.inv))
	}
}

// fetchAccess reads the access files of the hosts whose agent containers hold one; the containers need not run. Several
// come where one host has missed that the store's members are others now.
func (c *Cluster) fetchAccess(ctx context.Context, snaps []engine.Snapshot) ([]*Access, error) {
	var all []*Access
	found, clusterID, first := 0, "", ""
	var last error
	for _, s := range snaps {
		if s.Agent == nil || s.Agent.State == "created" {
			continue // "created": its making was interrupted before it had all its files
		}
		if clusterID != "" && s.Agent.Cluster != clusterID {
			return nil, fmt.Errorf("inventory %s: hosts %s and %s belong to two clusters (%s and %s); keep one of them, or remove the container and volume %s on the other",
				c.inv.Path, first, s.Host.Name, clusterID, s.Agent.Cluster, AgentName)
		}
		clusterID, first = s.Agent.Cluster, s.Host.Name
		found++
		b, err := c.readFile(ctx, s.Host.Name, agent.AccessFile)
		if err != nil {
			last = err
			continue
		}
		var a Access
		if err := json.Unmarshal(b, &a); err != nil {
			return nil, fmt.Errorf("host %s: %s in volume %s is broken: %w", s.Host.Name, agent.AccessFile, AgentName, err)
		}
		if !slices.ContainsFunc(all, func(other *Access) bool { return slices.Equal(other.Endpoints, a.Endpoints) }) {
			all = append(all, &a)
		}
		if a.Moved != "" {
			return nil, movedError(a.Moved)
		}
	}
	// One that was left behind when the store went on alone leads to what is not the cluster's store any more.
	newest := 0
	for _, a := range all {
		newest = max(newest, a.Recovered)
	}
	all = slices.DeleteFunc(all, func(a *Access) bool { return a.Recovered < newest })
	switch {
	case len(all) > 0:
		return all, nil
	case found > 0:
		return nil, c.lostStore(ctx, clusterID, first, last)
	}
	return nil, ErrNoCluster
}

// readFile reads one file of a host's agent container.
func (c *Cluster) readFile(ctx context.Context, host, name string) ([]byte, error) {
	r, err := c.engines[host].CopyFrom(ctx, AgentName, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	tr := tar.NewReader(r)
	h, err := tr.Next()
	if err != nil {
		return nil, fmt.Errorf("host %s: read %s: %w", host, name, err)
	}
	if h.Name != path.Base(name) {
		return nil, fmt.Errorf("host %s: read %s: got %s", host, name, h.Name)
	}
	return io.ReadAll(tr)
}

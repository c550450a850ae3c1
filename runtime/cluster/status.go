package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"berth/runtime/ledger"
	"berth/runtime/store"
)

// StoreStatus is what `store status` tells.
type StoreStatus struct {
	Store    string        `json:"store"`   // "embedded", or the address in the inventory
	Cluster  string        `json:"cluster"` // ID
	Epoch    string        `json:"epoch"`
	Lost     bool          `json:"lost"`     // it has lost what it knew, once, and was told again
	Revision int64         `json:"revision"` // of the store
	Keys     int           `json:"keys"`     // of berth's
	Bytes    int64         `json:"bytes"`    // of berth's keys and values
	Servers  []StoreServer `json:"servers,omitempty"`
	Hosts    []StoreHost   `json:"hosts"`
	Locks    []StoreLock   `json:"locks,omitempty"`
}

// StoreServer is a server of the store; Host is the member's, with the embedded store.
type StoreServer struct {
	Host string `json:"host,omitempty"`
	store.Server
}

// StoreHost is a host as the store knows it.
type StoreHost struct {
	Host     string   `json:"host"`
	Alive    bool     `json:"alive"` // its agent holds its lease
	Told     bool     `json:"told"`  // the store knows what runs there
	Agent    string   `json:"agent"` // version
	Problems []string `json:"problems,omitempty"`
}

// StoreLock is a project that a command works on.
type StoreLock struct {
	Project string `json:"project"`
	ledger.Lock
}

// Status describes the store and who is on it. The store must be open. One that does not answer any more is an error;
// servers of it that do not are in the result.
func (c *Cluster) Status(ctx context.Context) (*StoreStatus, error) {
	snap, err := c.Dump(ctx)
	if err != nil {
		return nil, err
	}
	view, err := ledger.Decode(snap)
	if err != nil {
		return nil, err
	}
	s := &StoreStatus{Store: "embedded", Cluster: c.access.Cluster, Epoch: view.Epoch.ID, Lost: view.Epoch.Lost, Revision: snap.Revision, Keys: len(snap.Pairs)}
	if !c.embedded() {
		s.Store = c.inv.Store
	}
	for _, p := range snap.Pairs {
		s.Bytes += int64(len(p.Key) + len(p.Value))
	}
	if r, ok := c.store.(store.Reporter); ok {
		servers, err := r.Report(ctx)
		if err != nil {
			return nil, err
		}
		for _, one := range servers {
			s.Servers = append(s.Servers, StoreServer{Host: c.memberAt(one.Endpoint), Server: one})
		}
	}
	s.Hosts = c.storeHosts(view)
	for name, p := range view.Projects {
		if p.Lock != nil {
			s.Locks = append(s.Locks, StoreLock{name, *p.Lock})
		}
	}
	slices.SortFunc(s.Locks, func(a, b StoreLock) int { return strings.Compare(a.Project, b.Project) })
	return s, nil
}

// memberAt is the host of the store member with that endpoint, host:port.
func (c *Cluster) memberAt(endpoint string) string {
	for i, e := range c.access.Endpoints {
		if i < len(c.access.Members) && strings.TrimPrefix(e, "https://") == endpoint {
			return c.access.Members[i]
		}
	}
	return ""
}

// storeHosts are the inventory's hosts, and those that the store knows beside them.
func (c *Cluster) storeHosts(view *ledger.View) []StoreHost {
	var names []string
	for _, h := range c.inv.Hosts {
		names = append(names, h.Name)
	}
	var others []string
	for name := range view.Hosts {
		if !slices.Contains(names, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	var out []StoreHost
	for _, name := range append(names, others...) {
		h := view.Hosts[name]
		problems := slices.Clone(h.Problems)
		if h.Store != nil && cmp.Or(h.Store.Problem, h.Store.Waits) != "" {
			problems = append(problems, fmt.Sprintf("host %s: its member of the store does not serve: %s", name, cmp.Or(h.Store.Problem, h.Store.Waits)))
		}
		out = append(out, StoreHost{Host: name, Alive: view.Alive[name], Told: view.Told(name), Agent: h.Agent, Problems: problems})
	}
	return out
}

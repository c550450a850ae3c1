package agent

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"sync"

	"berth/runtime/ledger"
	"berth/runtime/store"
)

// memory is what an agent knows of the store's life, kept in a file beside its configuration: a store of another epoch, or
// one that has gone back, may not know what runs here.
type memory struct {
	path string // "" keeps nothing

	mu    sync.Mutex
	known remembered
	saved remembered
}

type remembered struct {
	Epoch    string   `json:"epoch"`
	Revision int64    `json:"revision"` // the last one seen, or one not long before
	Hosts    []string `json:"hosts"`    // of the cluster, sorted
}

func (r remembered) equal(o remembered) bool {
	return r.Epoch == o.Epoch && r.Revision == o.Revision && slices.Equal(r.Hosts, o.Hosts)
}

// recall reads the file. One that is not there or broken is no memory.
func recall(path string) *memory {
	m := &memory{path: path}
	if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, &m.known) == nil {
		m.saved = m.known
	}
	return m
}

func (m *memory) get() remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known
}

// of remembers a store that knows what runs here.
func (m *memory) of(v *ledger.View) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known = remembered{Epoch: v.Epoch.ID, Revision: v.Revision, Hosts: slices.Sorted(maps.Keys(v.Hosts))}
}

// goesOn reports whether a store whose epoch was just read is in the one that is remembered, and at least as far.
func (r remembered) goesOn(snap store.Snapshot) bool {
	for _, p := range snap.Pairs {
		var e ledger.Epoch
		if p.Key == ledger.EpochKey && json.Unmarshal(p.Value, &e) == nil {
			return e.ID != "" && e.ID == r.Epoch && e.Restoring == "" && snap.Revision >= r.Revision
		}
	}
	return false
}

// at remembers a revision; save keeps it, at the latest with the next comparison of everything.
func (m *memory) at(revision int64) {
	m.mu.Lock()
	m.known.Revision = max(m.known.Revision, revision)
	m.mu.Unlock()
}

// save writes the file if there is something new, whole or not at all.
func (m *memory) save() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.path == "" || m.known.Epoch == "" || m.known.equal(m.saved) {
		return nil
	}
	b, err := json.Marshal(m.known)
	if err != nil {
		return err
	}
	tmp := m.path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, m.path); err != nil {
		return err
	}
	m.saved = m.known
	return nil
}

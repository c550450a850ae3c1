package journal

import (
	"bytes"
	"slices"
	"strings"

	"berth/runtime/store"
)

// state is the store at one revision. Values in it are shared with records and events and never written to.
type state struct {
	revision int64
	last     string // ID of the revision's record
	pairs    map[string]pair
	leases   map[int64]bool // granted and not ended
}

type pair struct {
	value             []byte
	created, modified int64
	lease             int64
}

func newState() *state {
	return &state{pairs: map[string]pair{}, leases: map[int64]bool{}}
}

// get copies the pairs under a prefix, sorted by key.
func (s *state) get(prefix string) store.Snapshot {
	snap := store.Snapshot{Revision: s.revision}
	for key, p := range s.pairs {
		if strings.HasPrefix(key, prefix) {
			snap.Pairs = append(snap.Pairs, store.Pair{Key: key, Value: bytes.Clone(p.value), Created: p.created, Modified: p.modified})
		}
	}
	slices.SortFunc(snap.Pairs, func(a, b store.Pair) int { return strings.Compare(a.Key, b.Key) })
	return snap
}

// holds reports whether all compares do.
func (s *state) holds(compares []store.Compare) bool {
	for _, c := range compares {
		if s.pairs[c.Key].modified != c.Modified {
			return false
		}
	}
	return true
}

// under lists the keys of a lease, sorted.
func (s *state) under(lease int64) []string {
	var keys []string
	for key, p := range s.pairs {
		if p.lease == lease {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// place fills in what a record says of the state that it follows.
func (s *state) place(r *record, b *body) {
	r.Prev, r.Created, r.Absent = s.last, nil, nil
	for i, p := range b.Puts {
		if old, ok := s.pairs[p.Key]; ok {
			if r.Created == nil {
				r.Created = map[int]int64{}
			}
			r.Created[i] = old.created
		}
	}
	for i, key := range b.Deletes {
		if _, ok := s.pairs[key]; !ok {
			r.Absent = append(r.Absent, i)
		}
	}
}

// apply makes the state that of the record's revision, the next one.
func (s *state) apply(r *record) {
	s.revision++
	s.last = r.ID
	for i, p := range r.Body.Puts {
		s.pairs[p.Key] = pair{value: p.Value, created: r.created(i, s.revision), modified: s.revision, lease: p.Lease}
	}
	for _, key := range r.Body.Deletes {
		delete(s.pairs, key)
	}
	if r.Granted != 0 {
		s.leases[r.Granted] = true
	}
	delete(s.leases, r.Ended)
}

func (r *record) created(i int, revision int64) int64 {
	if at, ok := r.Created[i]; ok {
		return at
	}
	return revision
}

// events are what the record changed, as the contract tells it.
func (r *record) events(revision int64) []store.Event {
	var out []store.Event
	for i, p := range r.Body.Puts {
		out = append(out, store.Event{Pair: store.Pair{Key: p.Key, Value: p.Value, Created: r.created(i, revision), Modified: revision}})
	}
	for i, key := range r.Body.Deletes {
		if _, absent := slices.BinarySearch(r.Absent, i); !absent {
			out = append(out, store.Event{Pair: store.Pair{Key: key, Modified: revision}, Deleted: true})
		}
	}
	return out
}

// save is the state as a base holds it, in the order of its keys.
func (s *state) save() snapshot {
	out := snapshot{Last: s.last}
	for id := range s.leases {
		out.Leases = append(out.Leases, id)
	}
	slices.Sort(out.Leases)
	for key, p := range s.pairs {
		out.Pairs = append(out.Pairs, saved{put{key, p.value, p.lease}, p.created, p.modified})
	}
	slices.SortFunc(out.Pairs, func(a, b saved) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// restore is the inverse of save.
func restore(revision int64, from snapshot) *state {
	s := newState()
	s.revision, s.last = revision, from.Last
	for _, id := range from.Leases {
		s.leases[id] = true
	}
	for _, p := range from.Pairs {
		s.pairs[p.Key] = pair{p.Value, p.Created, p.Modified, p.Lease}
	}
	return s
}

package journal

import "berth/runtime/store"

// Bounds of the history that is kept in memory for watches that begin in the past.
const (
	keepRecords = 1000
	keepBytes   = 8 << 20
)

// replica is the store as a client has read it: its state at a revision, and the revisions that led there.
type replica struct {
	state  *state
	first  *node // a revision from which on all changes are in memory
	tail   *node // the state's revision
	size   int   // bytes of the records after first
	logged int   // bytes of the records since the base, or since it was last seen to change
	packed int64 // the revision at which a compaction was last begun
}

// node is one revision in memory. Nodes after it live as long as somebody has it.
type node struct {
	revision int64
	id       string
	size     int
	events   []store.Event
	ready    chan struct{} // closed when next is set, or will never be
	next     *node
}

func newReplica(s *state) *replica {
	n := &node{revision: s.revision, id: s.last, ready: make(chan struct{})}
	return &replica{state: s, first: n, tail: n}
}

// add applies the next record, of so many bytes.
func (p *replica) add(r *record, size int) {
	p.state.apply(r)
	n := &node{revision: p.state.revision, id: r.ID, size: size, events: r.events(p.state.revision), ready: make(chan struct{})}
	p.tail.next = n
	close(p.tail.ready)
	p.tail = n
	p.size += size
	p.logged += size
	for p.tail.revision-p.first.revision > keepRecords || p.size > keepBytes && p.first.next != p.tail {
		p.first = p.first.next
		p.size -= p.first.size
	}
}

package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"berth/runtime/store"
)

func isCompacted(err error) bool { return errors.Is(err, store.ErrCompacted) }

// kind is what an operation of a history was.
type kind int

const (
	changing kind = iota // a transaction that happened
	failing              // one whose compares did not hold
	reads
	freeing // the end of a lease
)

// operation is one operation with what came of it.
type operation struct {
	kind     kind
	txn      *store.Txn
	value    string
	revision int64
	prefix   string          // of reads
	snap     *store.Snapshot // of reads
	keys     map[string]bool // of freeing
}

func (o operation) String() string {
	var b strings.Builder
	if o.txn != nil {
		for _, c := range o.txn.Compares {
			fmt.Fprintf(&b, " if %s@%d", c.Key[len(c.Key)-1:], c.Modified)
		}
		for _, p := range o.txn.Puts {
			fmt.Fprintf(&b, " put %s=%s", p.Key[len(p.Key)-1:], p.Value)
		}
		for _, d := range o.txn.Deletes {
			fmt.Fprintf(&b, " delete %s", d[len(d)-1:])
		}
	}
	switch o.kind {
	case changing:
		return fmt.Sprintf("a transaction at revision %d:%s", o.revision, b.String())
	case failing:
		return "a conflict:" + b.String()
	case freeing:
		return fmt.Sprintf("the end of a lease at revision %d", o.revision)
	}
	for _, p := range o.snap.Pairs {
		fmt.Fprintf(&b, " %s=%s@%d", p.Key[len(p.Key)-1:], p.Value, p.Modified)
	}
	return fmt.Sprintf("a read at revision %d:%s", o.snap.Revision, b.String())
}

// cell is a key in the model's state; the zero value is an absent one.
type cell struct {
	value             string
	created, modified int64
	leased            bool
}

// model is the state of the contract: the keys, and a revision that only grows.
type model struct {
	revision int64
	cells    [roundKeys]cell
}

func (m model) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "revision %d:", m.revision)
	for i, c := range m.cells {
		if c.modified != 0 {
			fmt.Fprintf(&b, " %c=%s@%d", 'a'+i, c.value, c.modified)
		}
	}
	return b.String()
}

// contract is what package store promises, as porcupine takes it.
func contract(h *history) porcupine.Model {
	index := map[string]int{}
	for i, key := range h.keys {
		index[key] = i
	}
	return porcupine.Model{
		Init: func() any { return model{} },
		Step: func(state, input, _ any) (bool, any) {
			m, o := state.(model), input.(operation)
			switch o.kind {
			case changing:
				if !m.holds(index, o.txn) {
					return false, state
				}
				return m.change(index, o)
			case failing:
				return !m.holds(index, o.txn), state
			case freeing:
				return m.free(index, o)
			}
			return m.read(h, o)
		},
		DescribeOperation: func(input, _ any) string { return input.(operation).String() },
		DescribeState:     func(state any) string { return state.(model).String() },
	}
}

func (m model) holds(index map[string]int, t *store.Txn) bool {
	for _, c := range t.Compares {
		if m.cells[index[c.Key]].modified != c.Modified {
			return false
		}
	}
	return true
}

// change applies a transaction. One that changes nothing has the revision that there is.
func (m model) change(index map[string]int, o operation) (bool, any) {
	if len(o.txn.Puts) == 0 {
		if o.revision < m.revision {
			return false, m
		}
		m.revision = o.revision
		return true, m
	}
	if o.revision <= m.revision {
		return false, m
	}
	m.revision = o.revision
	for _, p := range o.txn.Puts {
		c := &m.cells[index[p.Key]]
		if c.modified == 0 {
			c.created = o.revision
		}
		c.value, c.modified, c.leased = string(p.Value), o.revision, p.Lease != 0
	}
	for _, d := range o.txn.Deletes {
		m.cells[index[d]] = cell{}
	}
	return true, m
}

// free ends a lease, which takes keys that were put under one.
func (m model) free(index map[string]int, o operation) (bool, any) {
	if o.revision <= m.revision {
		return false, m
	}
	m.revision = o.revision
	for key := range o.keys {
		if !m.cells[index[key]].leased {
			return false, m
		}
		m.cells[index[key]] = cell{}
	}
	return true, m
}

// read checks a snapshot. It is of no older state than any before it, and whatever happens later has a later revision.
func (m model) read(h *history, o operation) (bool, any) {
	if o.snap.Revision < m.revision {
		return false, m
	}
	pairs := o.snap.Pairs
	for i, key := range h.keys {
		if !strings.HasPrefix(key, o.prefix) {
			continue
		}
		c := m.cells[i]
		at := slices.IndexFunc(pairs, func(p store.Pair) bool { return p.Key == key })
		switch {
		case at < 0 && c.modified != 0, at >= 0 && c.modified == 0:
			return false, m
		case at >= 0 && (string(pairs[at].Value) != c.value || pairs[at].Modified != c.modified || pairs[at].Created != c.created):
			return false, m
		}
	}
	m.revision = o.snap.Revision
	return true, m
}

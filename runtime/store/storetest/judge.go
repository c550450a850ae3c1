package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"berth/runtime/store"
)

// judgeTime bounds porcupine's search. A history that the contract allows takes far less: revisions leave little to
// search for.
const judgeTime = 2 * time.Minute

// judge checks one history and says what is wrong with it, a sentence each.
func judge(h *history) ([]string, tally) {
	j := judgement{h: h, by: map[int64]*attempt{}, values: map[string]*attempt{}, seen: map[int64]int64{}, freed: map[int64]map[string]bool{}}
	j.count.clients = roundClients
	j.identify()
	j.resolve()
	j.operations()
	j.replay()
	j.leases()
	if len(j.wrong) == 0 { // else the search may take long to say less
		j.search()
	}
	return j.wrong, j.count
}

type judgement struct {
	h      *history
	values map[string]*attempt       // by the value that it put
	by     map[int64]*attempt        // by revision
	seen   map[int64]int64           // revision → the first time that a watch sent it
	freed  map[int64]map[string]bool // revision that is no transaction's → the keys that went
	ops    []porcupine.Operation
	wrong  []string
	count  tally
}

func (j *judgement) violation(format string, args ...any) {
	if len(j.wrong) < 10 {
		j.wrong = append(j.wrong, fmt.Sprintf(format, args...))
	}
}

// identify sorts the transactions by what is known of them at once.
func (j *judgement) identify() {
	for _, a := range j.h.attempts {
		if a.value != "" {
			j.values[a.value] = a
		}
		switch a.outcome {
		case applied:
			j.count.transactions++
			if a.value != "" {
				j.place(a, a.revision)
			}
		case conflicted:
			j.count.conflicts++
		case refused:
			j.count.refusals++
		case unknown:
			j.count.uncertain++
		}
	}
}

// place says that a transaction happened at a revision.
func (j *judgement) place(a *attempt, revision int64) {
	if other := j.by[revision]; other != nil && other != a {
		j.violation("transactions %s and %s have one revision, %d", other.value, a.value, revision)
	}
	j.by[revision] = a
	a.revision = revision
}

// resolve finds out which transactions without an answer happened: a reader has seen their value. Revisions in which
// keys went and that are nobody's are ends of leases.
func (j *judgement) resolve() {
	for _, r := range j.h.readings {
		for _, p := range r.snap.Pairs {
			j.saw(string(p.Value), p.Modified, "a read")
		}
	}
	for _, f := range j.h.followings {
		for _, b := range f.batches {
			if first, ok := j.seen[b.Revision]; !ok || b.at < first {
				j.seen[b.Revision] = b.at
			}
			for _, e := range b.Events {
				if !e.Deleted {
					j.saw(string(e.Value), b.Revision, "a watch")
				}
			}
		}
	}
	for _, f := range j.h.followings {
		for _, b := range f.batches {
			if j.by[b.Revision] != nil {
				continue
			}
			for _, e := range b.Events {
				if j.freed[b.Revision] == nil {
					j.freed[b.Revision] = map[string]bool{}
				}
				j.freed[b.Revision][e.Key] = true
			}
		}
	}
}

func (j *judgement) saw(value string, revision int64, who string) {
	a := j.values[value]
	switch {
	case a == nil:
		j.violation("%s saw value %q at revision %d, which nobody put", who, value, revision)
	case a.outcome == conflicted || a.outcome == refused:
		j.violation("%s saw value %s at revision %d, of a transaction that was answered with %q", who, value, revision, a.err)
	case a.revision != 0 && a.revision != revision:
		j.violation("%s saw value %s at revision %d, which was put at %d", who, value, revision, a.revision)
	case a.revision == 0:
		j.count.happened++
		j.place(a, revision)
	}
}

// operations are the history as porcupine takes it.
func (j *judgement) operations() {
	add := func(client int, call, end int64, in operation) {
		j.ops = append(j.ops, porcupine.Operation{ClientId: client, Input: in, Call: call, Return: end})
	}
	for _, a := range j.h.attempts {
		switch {
		case a.outcome == conflicted:
			add(a.client, a.call, a.end, operation{kind: failing, txn: &a.txn})
		case a.revision != 0 && a.outcome == applied, a.revision != 0 && a.outcome == unknown:
			end := a.end
			if first, ok := j.seen[a.revision]; ok {
				end = min(end, first) // it had happened when a watch sent it
			}
			add(a.client, a.call, max(end, a.call), operation{kind: changing, txn: &a.txn, value: a.value, revision: a.revision})
		}
	}
	for _, r := range j.h.readings {
		j.count.reads++
		add(r.client, r.call, r.end, operation{kind: reads, prefix: r.prefix, snap: &r.snap})
	}
	for revision, keys := range j.freed {
		// It began after the keys were put: the model has them then. A watch has sent it, or there would be no freed.
		end := j.seen[revision]
		for key := range keys {
			if g := j.grantOf(revision, key); g != nil {
				end = min(end, g.revoked)
			}
		}
		add(roundClients, 0, end, operation{kind: freeing, keys: keys, revision: revision})
	}
}

// search has porcupine look for an order of all operations that the contract allows.
func (j *judgement) search() {
	result, info := porcupine.CheckOperationsVerbose(contract(j.h), j.ops, judgeTime)
	switch result {
	case porcupine.Ok:
		return
	case porcupine.Unknown:
		j.violation("whether the history is linearizable was not found out in %s", judgeTime)
		return
	}
	longest := 0
	var last []porcupine.Operation
	for _, part := range info.PartialLinearizationsOperations() {
		for _, order := range part {
			if len(order) > longest {
				longest, last = len(order), order
			}
		}
	}
	state := contract(j.h).Init()
	done := map[string]int{}
	for _, op := range last {
		_, state = contract(j.h).Step(state, op.Input, op.Output)
		done[op.Input.(operation).String()]++
	}
	var left []porcupine.Operation
	for _, op := range j.ops {
		if text := op.Input.(operation).String(); done[text] > 0 {
			done[text]--
		} else {
			left = append(left, op)
		}
	}
	slices.SortFunc(left, func(a, b porcupine.Operation) int { return int(min(max(a.Return-b.Return, -1), 1)) })
	next := "nothing"
	if len(left) > 0 {
		next = fmt.Sprintf("%s by client %d", left[0].Input, left[0].ClientId)
	}
	j.violation("not linearizable: %d of %d operations have an order, which ends in %s; it cannot go on with %s", longest, len(j.ops), state, next)
}

// grantOf is the lease of a key that went at a revision, nil when it had none.
func (j *judgement) grantOf(revision int64, key string) *grant {
	var last *attempt
	var lease int64
	for r, a := range j.by {
		if r >= revision || last != nil && r < last.revision {
			continue
		}
		for _, p := range a.txn.Puts {
			if p.Key == key {
				last, lease = a, p.Lease
			}
		}
	}
	return j.h.grants[lease]
}

// leases checks that keys went by themselves only with a lease that had been given back or was lost, and that their
// holder was told.
func (j *judgement) leases() {
	ended := map[int64]bool{}
	for revision, keys := range j.freed {
		for key := range keys {
			switch g := j.grantOf(revision, key); {
			case g == nil:
				j.violation("key %s went at revision %d, without a transaction and without a lease", key, revision)
			case g.revoke == forever:
				ended[g.lease.ID] = true
				fallthrough
			case j.seen[revision] < g.revoke:
				if !lost(g.lease) {
					j.violation("key %s went at revision %d with a lease that its holder still has", key, revision)
				}
			}
		}
	}
	j.count.leases, j.count.ended = len(j.h.grants), len(ended)
}

// lost reports whether the holder of a lease is told that it ended.
func lost(l *store.Lease) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-l.Lost:
		return true
	case <-timer.C:
		return false
	}
}

package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"berth/runtime/store"
)

// replay applies the transactions in the order of their revisions, and compares what each watch sent with the events
// that it must have sent.
func (j *judgement) replay() {
	var revisions []int64
	for r := range j.by {
		revisions = append(revisions, r)
	}
	for r := range j.freed {
		revisions = append(revisions, r)
	}
	slices.Sort(revisions)
	want := map[int64]map[string]store.Event{}
	now := map[string]store.Pair{}
	for _, r := range revisions {
		events := map[string]store.Event{}
		gone := func(key string) {
			if _, ok := now[key]; ok {
				events[key] = store.Event{Pair: store.Pair{Key: key, Modified: r}, Deleted: true}
				delete(now, key)
			}
		}
		if a := j.by[r]; a != nil {
			for _, p := range a.txn.Puts {
				pair := store.Pair{Key: p.Key, Value: p.Value, Created: r, Modified: r}
				if old, ok := now[p.Key]; ok {
					pair.Created = old.Created
				}
				now[p.Key] = pair
				events[p.Key] = store.Event{Pair: pair}
			}
			for _, key := range a.txn.Deletes {
				gone(key)
			}
		}
		for key := range j.freed[r] {
			gone(key)
		}
		want[r] = events
	}
	for _, f := range j.h.followings {
		j.compare(f, revisions, want)
	}
}

// compare checks one watch.
func (j *judgement) compare(f *following, revisions []int64, want map[int64]map[string]store.Event) {
	j.count.watches++
	name := fmt.Sprintf("a watch of %s by client %d after revision %d", strings.TrimPrefix(f.prefix, j.h.prefix)+"*", f.client, f.after)
	if f.end != nil && !isCompacted(f.end) {
		j.violation("%s ended: %v", name, f.end)
	}
	at := f.after
	due := func(until int64) { // what it should have sent before until
		for _, r := range revisions {
			if r > at && r < until && len(under(want[r], f.prefix)) > 0 {
				j.violation("%s lost revision %d: after %d it sent %d", name, r, at, until)
			}
		}
	}
	for _, b := range f.batches {
		j.count.events += len(b.Events)
		if b.Revision <= at {
			j.violation("%s sent revision %d after %d", name, b.Revision, at)
			continue
		}
		due(b.Revision)
		at = b.Revision
		expected := under(want[b.Revision], f.prefix)
		got := map[string]store.Event{}
		for _, e := range b.Events {
			if _, twice := got[e.Key]; twice {
				j.violation("%s sent key %s of revision %d twice", name, e.Key, b.Revision)
			}
			got[e.Key] = e
		}
		for key, e := range expected {
			if g, ok := got[key]; !ok {
				j.violation("%s sent revision %d without its change of %s", name, b.Revision, key)
			} else if g.Deleted != e.Deleted || !bytes.Equal(g.Value, e.Value) || g.Modified != e.Modified || !e.Deleted && g.Created != e.Created {
				j.violation("%s sent %+v, want %+v", name, g, e)
			}
		}
		for key, g := range got {
			if _, ok := expected[key]; !ok {
				j.violation("%s sent %+v, which is no change of revision %d", name, g, b.Revision)
			}
		}
	}
}

func under(events map[string]store.Event, prefix string) map[string]store.Event {
	out := map[string]store.Event{}
	for key, e := range events {
		if strings.HasPrefix(key, prefix) {
			out[key] = e
		}
	}
	return out
}

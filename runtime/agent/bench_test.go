package agent

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/overlay"
	"berth/runtime/store"
	"berth/runtime/store/embedded/embeddedtest"
)

// BenchmarkChange has an endpoint of a network come or go, and prints the processor time of all that takes part: who writes it,
// the store, and up to its view the agent of a host. Less that of a change that nobody follows, it is what the agent costs the
// cluster: for a change on a network that its host is on, on one that it is not on, and on one as it would be if it watched
// the whole store.
func BenchmarkChange(b *testing.B) {
	st := embeddedtest.Start(b, 1).Open(b)
	write(b, st, ledger.HostKey("far"), ledger.Host{}) // met by nobody
	for _, network := range []string{"own", "foreign"} {
		n := placement.Network{Name: network, Project: network, VNI: overlay.FirstVNI, Blocks: map[string]placement.Block{"you": {}}}
		if network == "own" {
			n.Blocks["me"] = placement.Block{}
		}
		write(b, st, ledger.NetworkKey(network), n)
	}
	b.Run("nobody", func(b *testing.B) { churn(b, st, "own", func() (stop func()) { return func() {} }) })
	b.Run("own", func(b *testing.B) { churn(b, st, "own", follows(b, st)) })
	b.Run("foreign", func(b *testing.B) { churn(b, st, "foreign", follows(b, st)) })
	b.Run("whole", func(b *testing.B) {
		churn(b, st, "foreign", func() func() {
			snap, err := st.Get(b.Context(), ledger.Root)
			if err != nil {
				b.Fatal(err)
			}
			return following(b, load("me", slog.New(slog.DiscardHandler), snap), st.Watch(b.Context(), ledger.Root, snap.Revision))
		})
	})
}

func write(b *testing.B, st store.Store, key string, value any) {
	b.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := st.Commit(b.Context(), store.Txn{Puts: []store.Put{{Key: key, Value: raw}}}); err != nil {
		b.Fatal(err)
	}
}

// follows begins an agent's watch of its host's part of the store.
func follows(b *testing.B, st store.Store) func() func() {
	return func() func() {
		log := slog.New(slog.DiscardHandler)
		snap, err := st.Get(b.Context(), ledger.Root)
		if err != nil {
			b.Fatal(err)
		}
		s := scopeOf("me", log, snap)
		return following(b, load("me", log, s.cut(snap)), s.watch(b.Context(), st, s.parts(), snap.Revision))
	}
}

// endKey is in every host's part of the store. Changes come in order: who has this one has all.
const endKey = ledger.Alive + "end"

// following takes what a watch sends into a view. The result waits for the end of the changes, and gives the view.
func following(b *testing.B, v *view, batches <-chan store.Batch) func() {
	var wg sync.WaitGroup
	wg.Go(func() {
		for batch := range batches {
			if batch.Err != nil {
				return
			}
			var c changes
			for _, e := range batch.Events {
				v.apply(e, &c)
				if e.Key == endKey {
					return
				}
			}
		}
	})
	return wg.Wait
}

// churn changes endpoints of a network one by one, while begin's follower follows.
func churn(b *testing.B, st store.Store, network string, begin func() (await func())) {
	await := begin()
	before := processorTime(b)
	b.ResetTimer()
	for i := range b.N {
		e := at("you", fmt.Sprintf("10.1.%d.%d", i/200%200, 1+i%200))
		e.Network, e.Container = network, fmt.Sprintf("c%d", i%200)
		write(b, st, ledger.EndpointKey(e), e)
	}
	write(b, st, endKey, b.N)
	await()
	b.ReportMetric(float64(processorTime(b)-before)/float64(time.Microsecond)/float64(b.N), "cpu-us/op")
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

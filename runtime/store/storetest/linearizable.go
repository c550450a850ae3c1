package storetest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/runtime/store"
)

// How long Linearizable goes on, and the seed of what its clients and faults do; a failed test prints its seed.
var (
	faultTime = flag.Duration("store.faults", 9*time.Second, "how long clients work on a store while its servers are hurt; the checks come on top")
	faultSeed = flag.Uint64("store.seed", 0, "seed of the clients and faults; 0 takes the time")
)

// One round is one history: the checks' cost grows faster than a history's length.
const (
	roundTime    = 3 * time.Second
	roundClients = 5
	roundKeys    = 6
)

var errEndless = errors.New("its channel closed without a last batch")

// Ordeal is a running store and how it can be hurt.
type Ordeal struct {
	// Open makes a new client, as those who use the store would: of all members. It is closed by the test. Requests
	// should be given up on after a few seconds.
	Open func(t testing.TB) store.Store
	// Faults are what its servers have to stand, and still answer each client right or not at all.
	Faults []Fault
}

// Linearizable has several clients read, change and watch a few keys at random, with leases, while faults come and go,
// and checks what they saw: that all transactions and reads happened at one moment each, between call and answer, in
// the order of their revisions (porcupine searches for a history that the contract allows); and that each watch sent
// exactly the revisions that touched its prefix, each whole and once. It takes as long as -store.faults says.
func Linearizable(t *testing.T, o Ordeal) {
	seed := *faultSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-store.seed=%d", seed)
	var all tally
	for began, round := time.Now(), uint64(0); round == 0 || time.Since(began) < *faultTime; round++ {
		h, faults, err := o.round(t, rand.New(rand.NewPCG(seed, round)), min(roundTime, *faultTime))
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		violations, counted := judge(h)
		all.add(counted)
		all.faults += faults
		for _, v := range violations {
			t.Errorf("round %d: %s", round, v)
		}
		if t.Failed() {
			t.Fatalf("%s; again: -store.seed=%d", all, seed)
		}
	}
	t.Log(all)
	fmt.Printf("%s: %s\n", t.Name(), all)
}

// tally counts what was checked.
type tally struct {
	rounds, clients                       int
	transactions, conflicts, refusals     int
	uncertain, happened                   int // of these, how many had happened
	reads, watches, events, leases, ended int // leases that ended by themselves
	faults                                int64
}

func (a *tally) add(b tally) {
	a.rounds++
	a.clients = b.clients
	a.transactions += b.transactions
	a.conflicts += b.conflicts
	a.refusals += b.refusals
	a.uncertain += b.uncertain
	a.happened += b.happened
	a.reads += b.reads
	a.watches += b.watches
	a.events += b.events
	a.leases += b.leases
	a.ended += b.ended
}

func (a tally) String() string {
	return fmt.Sprintf("%d rounds, %d clients: %d transactions (%d conflicts, %d refused, %d without an answer of which %d had happened), %d reads, %d watches with %d events, %d leases (%d ended by themselves), %d faults",
		a.rounds, a.clients, a.transactions, a.conflicts, a.refusals, a.uncertain, a.happened, a.reads, a.watches, a.events, a.leases, a.ended, a.faults)
}

// round is one history under faults.
func (o Ordeal) round(t testing.TB, random *rand.Rand, length time.Duration) (*history, int64, error) {
	h := newHistory(prefix(), roundKeys)
	parent, end := context.WithCancel(context.Background())
	defer end()
	var clients []*client
	defer func() {
		for _, c := range clients {
			if err := c.st.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	}()
	for i := range roundClients {
		clients = append(clients, &client{
			number: i, st: o.Open(t), h: h, seen: map[string]int64{}, random: rand.New(rand.NewPCG(random.Uint64(), uint64(i))),
		})
	}
	start, err := beginRound(parent, h, clients)
	if err != nil {
		return h, 0, err
	}
	for _, c := range clients {
		c.at = start
		for _, key := range h.keys {
			c.seen[key] = start
		}
	}

	acting, stop := context.WithTimeout(parent, length)
	defer stop()
	var faults atomic.Int64
	var g errgroup.Group
	g.Go(func() error {
		err := torment(acting, o.Faults, random, &faults, func(format string, args ...any) {
			t.Logf("%7.3fs "+format, append([]any{float64(h.now()) / 1e9}, args...)...)
		})
		if err != nil {
			stop()
		}
		return err
	})
	for _, c := range clients {
		g.Go(func() error { c.run(acting, parent); return nil })
	}
	if err := g.Wait(); err != nil {
		return h, faults.Load(), err
	}
	return h, faults.Load(), finishRound(parent, h, clients)
}

// beginRound has each client watch everything from now on, puts all keys, and gives the revision of that.
func beginRound(parent context.Context, h *history, clients []*client) (int64, error) {
	ctx, cancel := context.WithTimeout(parent, limit)
	defer cancel()
	snap, err := clients[0].st.Get(ctx, h.prefix)
	if err != nil {
		return 0, err
	}
	for _, c := range clients {
		c.whole = c.follow(parent, h.prefix, snap.Revision)
	}
	return settled(ctx, clients[0].st, h, "begin")
}

// finishRound gives leases back, waits until their keys are gone, and has every watch read up to a last transaction that
// changes all keys.
func finishRound(parent context.Context, h *history, clients []*client) error {
	ctx, cancel := context.WithTimeout(parent, limit)
	defer cancel()
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			for len(c.leases) > 0 {
				c.revoke(ctx)
			}
		})
	}
	wg.Wait()
	if err := awaitFreed(ctx, clients[0].st, h); err != nil {
		return err
	}
	last, err := settled(ctx, clients[0].st, h, "end")
	if err != nil {
		return err
	}
	for _, c := range clients {
		for _, w := range append(c.live, c.whole) {
			w.until <- last
			defer context.AfterFunc(ctx, w.cancel)()
		}
	}
	for _, c := range clients {
		c.watches.Wait()
	}
	return nil
}

// settled puts all keys, again until there is an answer, and gives the revision.
func settled(ctx context.Context, st store.Store, h *history, value string) (int64, error) {
	for n := 0; ; n++ {
		a := &attempt{client: -1, value: fmt.Sprintf("%s.%d", value, n), call: h.now()}
		for _, key := range h.keys {
			a.txn.Puts = append(a.txn.Puts, store.Put{Key: key, Value: []byte(a.value)})
		}
		revision, err := st.Commit(ctx, a.txn)
		h.finish(a, revision, err)
		if err == nil {
			return revision, nil
		}
		if !rest(ctx, shortestPeace) {
			return 0, fmt.Errorf("the store does not get well again within %s: %w", limit, err)
		}
	}
}

// awaitFreed waits until no key is left of a lease that was given back or lost.
func awaitFreed(ctx context.Context, st store.Store, h *history) error {
	for {
		snap, err := st.Get(ctx, h.prefix)
		if err == nil {
			held := slices.IndexFunc(snap.Pairs, func(p store.Pair) bool { return h.leaseOf(string(p.Value), p.Key) != 0 })
			if held < 0 {
				return nil
			}
			err = fmt.Errorf("key %s outlives its lease", snap.Pairs[held].Key)
		}
		if !rest(ctx, shortestPeace) {
			return fmt.Errorf("after %s: %w", limit, err)
		}
	}
}

// leaseOf is the lease under which a transaction with that value put a key; 0 when it was none.
func (h *history) leaseOf(value, key string) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.attempts {
		if a.value != value {
			continue
		}
		for _, p := range a.txn.Puts {
			if p.Key == key {
				return p.Lease
			}
		}
	}
	return 0
}

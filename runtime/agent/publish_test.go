package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"berth/runtime/store"
)

// scripted is a store that writes down what is committed and fails as told.
type scripted struct {
	store.Store
	mu     sync.Mutex
	fail   []error // of the next commits
	most   int     // operations that it takes at once; 0 is any number
	leases int64
	refuse int // so many leases, first
	lost   chan struct{}
	held   map[string]string // key → value, with "@lease" when leased
	writes chan struct{}     // one for each commit that went through
}

func (s *scripted) Lease(context.Context, int64) (*store.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse > 0 {
		s.refuse--
		return nil, store.ErrRefused
	}
	s.leases++
	s.lost = make(chan struct{})
	return &store.Lease{ID: s.leases, Lost: s.lost}, nil
}

func (s *scripted) Commit(_ context.Context, t store.Txn) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := t.Validate(); err != nil {
		return 0, err
	}
	if s.most > 0 && len(t.Puts)+len(t.Deletes) > s.most {
		return 0, store.ErrTooLarge
	}
	if len(s.fail) > 0 {
		err := s.fail[0]
		s.fail = s.fail[1:]
		return 0, err
	}
	for _, p := range t.Puts {
		s.held[p.Key] = string(p.Value)
		if p.Lease != 0 {
			s.held[p.Key] += "@" + string(rune('0'+p.Lease))
		}
	}
	for _, key := range t.Deletes {
		delete(s.held, key)
	}
	s.writes <- struct{}{}
	return 1, nil
}

func (s *scripted) expect(t *testing.T, want map[string]string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.held); diff != "" {
		t.Errorf("store (-want +got):\n%s", diff)
	}
}

func publishing(t *testing.T, s *scripted, first func(*publisher)) *publisher {
	t.Helper()
	others := goleak.IgnoreCurrent()
	s.held, s.writes = map[string]string{}, make(chan struct{}, 100)
	p := newPublisher(slog.New(slog.DiscardHandler))
	first(p)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { p.run(ctx, s, func(error) {}) })
	t.Cleanup(func() { cancel(); wg.Wait(); goleak.VerifyNone(t, others) })
	return p
}

func TestTheLastWordOfEachKeyGoesOutInOneTransaction(t *testing.T) {
	s := &scripted{}
	publishing(t, s, func(p *publisher) {
		p.set("host", "old", false)
		p.set("host", "new", false)
		p.set("alive", "", true)
		p.set("gone", 1, false)
		p.delete("gone")
		p.delete("of an earlier life")
	})
	<-s.writes
	s.expect(t, map[string]string{"host": `"new"`, "alive": `""@1`})
	if n := len(s.writes); n != 0 {
		t.Errorf("%d transactions more than one", n)
	}
}

func TestWhatWasNotWrittenIsWrittenAgain(t *testing.T) {
	s := &scripted{fail: []error{store.ErrUnreachable, store.ErrUncertain}}
	publishing(t, s, func(p *publisher) { p.set("a", 1, false) })
	<-s.writes
	s.expect(t, map[string]string{"a": "1"})
}

func TestALostLeaseIsReplacedAndItsKeysArePutAgain(t *testing.T) {
	for name, lose := range map[string]func(s *scripted, p *publisher){
		"the client says so": func(s *scripted, _ *publisher) { close(s.lost) },
		"the store says so": func(s *scripted, p *publisher) {
			s.fail = []error{errors.Join(errors.New("commit"), store.ErrLeaseEnded)}
			go p.set("b", 2, false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scripted{}
			p := publishing(t, s, func(p *publisher) { p.set("a", 1, false); p.set("alive", "", true) })
			<-s.writes
			s.expect(t, map[string]string{"a": "1", "alive": `""@1`})
			s.mu.Lock()
			delete(s.held, "alive") // the old lease's end
			lose(s, p)
			s.mu.Unlock()
			<-s.writes
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.held["alive"] != `""@2` || s.held["a"] != "1" {
				t.Errorf("store: %v", s.held)
			}
		})
	}
}

func TestManyKeysGoOutInBoundedTransactions(t *testing.T) {
	s := &scripted{}
	publishing(t, s, func(p *publisher) {
		for i := range 2*publishBatch + 1 {
			p.set(strings.Repeat("k", i+1), i, false)
		}
	})
	for range 3 {
		<-s.writes
	}
	if len(s.held) != 2*publishBatch+1 {
		t.Errorf("%d keys held", len(s.held))
	}
}

func TestAStoreThatTakesLittleAtOnceGetsAllTheSame(t *testing.T) {
	s := &scripted{most: 128}
	want := map[string]string{}
	publishing(t, s, func(p *publisher) {
		for i := range 300 {
			key := fmt.Sprintf("berth/state/a/c%d", i)
			p.set(key, i, false)
			want[key] = fmt.Sprint(i)
		}
	})
	held := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.held)
	}
	for held() < len(want) {
		<-s.writes
	}
	s.expect(t, want)
}

// A member of the store that has not heard yet that a host is let in again refuses it; another one lets it in.
func TestAHostThatIsLetInAfterARefusalKnowsIt(t *testing.T) {
	others := goleak.IgnoreCurrent()
	defer func() { goleak.VerifyNone(t, others) }()
	log := slog.New(slog.DiscardHandler)
	a := &agent{refusals: make(chan bool, 1), member: &keeper{settings: newSettings(Config{}, "", log)}, publish: newPublisher(log)}
	s := &scripted{refuse: 1, held: map[string]string{}, writes: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	var words []bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.publish.run(ctx, s, func(err error) {
			a.away(err)
			words = append(words, len(a.refusals) == 1)
		})
	}()
	a.publish.set("key", "value", true)
	<-s.writes // it has its lease
	cancel()
	<-done
	if len(words) != 2 || !words[0] || !words[1] {
		t.Errorf("of a refusal and a lease the loop was told %v", words)
	}
	if refused := <-a.refusals; refused {
		t.Error("the last word is the refusal")
	}
}

package engine

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// leaver is an engine whose containers, once stopped, hold their networks until they are looked at.
type leaver struct {
	api     string
	gather  int // stops that are answered together, at first
	all     chan struct{}
	mu      sync.Mutex
	leaving int
	most    int
	running bool // a removal without force is refused
	written int  // removals that meet a file which the engine has just written
	asked   []string
}

func (l *leaver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", l.api)
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/stop"):
		l.mu.Lock()
		l.leaving++
		l.most = max(l.most, l.leaving)
		if l.leaving == l.gather {
			l.gather = 0
			close(l.all)
		}
		l.mu.Unlock()
		<-l.all
		w.WriteHeader(http.StatusNoContent)
	case strings.HasSuffix(r.URL.Path, "/json"):
		l.mu.Lock()
		l.leaving--
		l.mu.Unlock()
		io.WriteString(w, `{"Id":"0123"}`)
	case r.Method == http.MethodDelete:
		l.asked = append(l.asked, "force="+r.URL.Query().Get("force"))
		if l.running && r.URL.Query().Get("force") == "" {
			w.WriteHeader(http.StatusConflict)
			io.WriteString(w, `{"message":"You cannot remove a running container 0123. Stop the container before attempting removal or force remove"}`)
			return
		}
		if l.written > 0 {
			l.written--
			w.WriteHeader(http.StatusInternalServerError)
			io.WriteString(w, `{"message":"unable to remove filesystem for 0123: unlinkat /data/containers/0123: directory not empty"}`)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func leaverAt(t *testing.T, l *leaver) *Engine {
	t.Helper()
	l.all = make(chan struct{})
	srv := httptest.NewServer(l)
	t.Cleanup(srv.Close)
	e, err := Connect(hostAt(strings.Replace(srv.URL, "http", "tcp", 1)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	e.exits.promptly = time.Hour // a slow machine is not to look like a grace period
	return e
}

func TestFewContainersLetGoOfTheirNetworksAtATimeWhereTheEngineMayLoseCount(t *testing.T) {
	const n = 12
	for api, want := range map[string]int{"1.41": leaving, "1.48": leaving, countsRight: n} {
		l := &leaver{api: api, gather: want}
		e := leaverAt(t, l)
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if err := e.Stop(t.Context(), "0123", nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if l.most != want {
			t.Errorf("API %s: %d at a time, want %d", api, l.most, want)
		}
	}
}

// stubborn is an engine whose container says how it is, and stops when so many stops were asked for.
func stubborn(t *testing.T, info string, stops int) *Engine {
	var mu sync.Mutex
	all := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/json") {
			io.WriteString(w, info)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/stop") {
			mu.Lock()
			if stops--; stops == 0 {
				close(all)
			}
			mu.Unlock()
			<-all
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(srv.Close)
	e, err := Connect(hostAt(strings.Replace(srv.URL, "http", "tcp", 1)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func TestOnlyAContainerThatMayTakeItsTimeLetsOthersIn(t *testing.T) {
	const second = time.Second
	for _, c := range []struct {
		info  string
		grace time.Duration // -1: the container's own
		want  bool
	}{
		{`{"State":{"Running":true},"Config":{"StopTimeout":10}}`, -1, true},
		{`{"State":{"Running":true},"Config":{}}`, -1, true},
		{`{"State":{"Running":true},"Config":{"StopTimeout":0}}`, -1, false},
		{`{"State":{"Running":true},"Config":{"StopTimeout":0}}`, second, true},
		{`{"State":{"Running":true},"Config":{"StopTimeout":10}}`, 0, false},
		{`{"State":{"Running":false},"Config":{"StopTimeout":10}}`, second, false},
	} {
		grace := &c.grace
		if c.grace < 0 {
			grace = nil
		}
		if got := stubborn(t, c.info, 1).usesGrace(t.Context(), "0123", grace); got != c.want {
			t.Errorf("%s, grace %v: %v, want %v", c.info, c.grace, got, c.want)
		}
	}

	const n = 5 * leaving
	e := stubborn(t, `{"State":{"Running":true}}`, n)
	e.exits.promptly = 0
	var wg sync.WaitGroup
	for range n { // none ends before all are asked to
		wg.Go(func() {
			if err := e.Stop(t.Context(), "0123", nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestARunningContainerIsRemovedByForceAsOneThatEnds(t *testing.T) {
	for _, c := range []struct {
		api     string
		running bool
		want    string
	}{
		{"1.41", false, "force="},
		{"1.41", true, "force= force=1"},
		{countsRight, true, "force=1"},
	} {
		l := &leaver{api: c.api, running: c.running}
		if err := leaverAt(t, l).Remove(t.Context(), "0123", false); err != nil {
			t.Error(err)
		}
		if got := strings.Join(l.asked, " "); got != c.want {
			t.Errorf("API %s, running %v: asked %q, want %q", c.api, c.running, got, c.want)
		}
	}
}

func TestAContainerWhoseFilesTheEngineWritesWhileItRemovesThemIsRemovedAgain(t *testing.T) {
	for written, fails := range map[int]bool{1: false, removals - 1: false, removals: true} {
		l := &leaver{api: countsRight, written: written}
		err := leaverAt(t, l).Remove(t.Context(), "0123", false)
		if (err != nil) != fails || len(l.asked) != min(written+1, removals) {
			t.Errorf("%d times written: asked %d times, error %v", written, len(l.asked), err)
		}
	}
}

func TestContainersThatUseTheirGracePeriodWaitBesideOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, grace = 50, 10 * time.Second
		x := newExits()
		began := time.Now()
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if err := x.enter(t.Context()); err != nil {
					t.Error(err)
				}
				late := time.AfterFunc(x.promptly, func() { x.leave(true) })
				<-time.After(grace)
				if late.Stop() {
					x.leave(false)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began) - grace; took > 3*x.promptly {
			t.Errorf("%d containers took %v longer than one", n, took)
		}
		if err := x.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		if x.leave(false); x.allowed != leaving {
			t.Errorf("%d at a time after one ended promptly, want %d", x.allowed, leaving)
		}
	})
}

func TestWhoGivesUpWaitingTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExits()
		for range leaving {
			if err := x.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp, entered := make(chan error, 1), make(chan error, 1)
		go func() { gaveUp <- x.enter(ctx) }()
		synctest.Wait()
		go func() { entered <- x.enter(t.Context()) }()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		x.leave(false)
		if err := <-entered; err != nil {
			t.Error(err)
		}
		if x.under != leaving {
			t.Errorf("%d under way, want %d", x.under, leaving)
		}
	})
}

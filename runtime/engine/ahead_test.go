package engine

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// lister is an engine with one container that counts how often it is asked for its lists, and refuses the first ones.
type lister struct {
	refuse int32
	asked  atomic.Int32
}

func (l *lister) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("Content-Type", "application/json")
	switch path.Base(path.Dir(r.URL.Path)) + "/" + path.Base(r.URL.Path) {
	case "containers/json":
		if l.asked.Add(1) <= l.refuse {
			w.WriteHeader(http.StatusInternalServerError)
			io.WriteString(w, `{"message":"not yet"}`)
			return
		}
		io.WriteString(w, `[{"Id":"0123","Names":["/shop-web-1"],"State":"running","Labels":{"com.docker.compose.project":"shop"}}]`)
	case "v1.41/networks":
		io.WriteString(w, `[]`)
	default:
		io.WriteString(w, `{}`)
	}
}

func TestWhatWasAskedForAheadIsNotAskedForAgainUnlessItIsOldOrFailed(t *testing.T) {
	for _, c := range []struct {
		name   string
		age    time.Duration
		refuse int32
		asked  int32
	}{
		{"fresh", 0, 0, 1},
		{"old", aheadLife, 0, 2},
		{"failed", 0, 1, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &lister{refuse: c.refuse}
			srv := httptest.NewServer(l)
			t.Cleanup(srv.Close)
			e, err := Connect(hostAt(strings.Replace(srv.URL, "http", "tcp", 1)))
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			ahead := e.Ahead(t.Context())
			ahead.Wait()
			ahead.since = ahead.since.Add(-c.age)
			snap, err := e.Observe(t.Context(), Query{Project: "shop", Ahead: ahead})
			if err != nil || len(snap.Containers) != 1 {
				t.Fatalf("saw %d containers, error %v; want one", len(snap.Containers), err)
			}
			if got := l.asked.Load(); got != c.asked {
				t.Errorf("asked %d times, want %d", got, c.asked)
			}
		})
	}
}

func TestWhatIsAskedForAheadEndsWithItsContext(t *testing.T) {
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hangs.Close)
	e, err := Connect(hostAt(strings.Replace(hangs.URL, "http", "tcp", 1)))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ahead := e.Ahead(ctx)
	cancel()
	ahead.Wait()
	if _, ok := ahead.fresh(t.Context()); ok {
		t.Error("lists of an engine that never answered")
	}
}

package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"berth/runtime/identity"
	"berth/runtime/ledger"
	"berth/runtime/store/embedded"
)

// empties finds out whether the members of a store have all lost their data. Then there is no vote left that one of
// them could contradict, and the store begins anew; what runs on the hosts is told it by their agents (found.go).
//
// Each of them that is without data listens where its member would, for members only, and tells all others of itself, again and
// again. It is over for one when it has heard from all the others, in either way: who was told has answered, so each of a pair knows
// of the other. One that begins goes on answering until it serves: another may have forgotten, being started anew, what it heard.
type empties struct {
	own    Member
	token  string
	client *http.Client

	mu    sync.Mutex
	known map[string]bool // the others that have told of themselves, by name
	more  chan struct{}   // of size 1: known has grown
}

const (
	emptyPath  = embedded.BeginsPath + "empty"
	emptyAgain = 2 * time.Second // between two rounds of telling
	emptyWait  = time.Second     // for one answer
)

func newEmpties(own Member) *empties {
	return &empties{own: own, token: own.Token, known: map[string]bool{}, more: make(chan struct{}, 1)}
}

// allEmpty waits until that is so, and reports whether it came to that before ctx ended or another member was wanted.
func (k *keeper) allEmpty(ctx context.Context, own Member, woken <-chan struct{}) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	var watching sync.WaitGroup
	defer watching.Wait()
	defer close(stop)
	watching.Go(func() {
		select {
		case <-woken:
			cancel()
		case <-stop:
		}
	})
	c, _ := k.settings.store()
	if !sameHosts(own.Initial, c.Endpoints) {
		<-ctx.Done() // the members have changed since: others may have the data
		return false
	}
	e := newEmpties(own)
	var err error
	if e.client, err = k.memberClient(); err != nil {
		k.log.Error("store members without data not looked for", "err", err)
		<-ctx.Done()
		return false
	}
	defer e.client.CloseIdleConnections()
	done, err := e.serve(k.gate)
	if err != nil {
		k.log.Error("store members without data not looked for", "err", err)
		<-ctx.Done()
		return false
	}
	defer done()
	answered := map[string]bool{}
	for {
		for _, name := range slices.Sorted(maps.Keys(own.Initial)) {
			if name != own.Name && !answered[name] {
				answered[name] = e.tell(ctx, own.Initial[name])
			}
		}
		if e.all(answered) {
			k.log.Warn("all members of the store have lost their data; it begins anew, from what runs on the hosts", slog.Int("members", len(own.Initial)))
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-e.more:
		case <-time.After(emptyAgain):
		}
	}
}

// anew is the member that begins without data in the place of one that has lost it, as all others do.
func (k *keeper) anew(m Member) Member {
	m.ID, m.Began = "", false
	k.settings.update(func(c *Config) { c.Store.Member = &m })
	k.mu.Lock()
	defer k.mu.Unlock()
	k.want, k.declared = &m, nil
	return m
}

// idOf is a member's ID in the store, also of one that the cluster began with, as far as the store's record says it.
func (k *keeper) idOf(m Member) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m.ID == "" && k.declared != nil {
		if mine, ok := k.declared.Of(k.host()); ok && !mine.Learner {
			return mine.ID
		}
	}
	return m.ID
}

// among takes over who the members are: which others have to have lost their data before this one may begin without. It also
// completes what was reported of a member that does not serve, before its ID was known. The caller has locked k.
func (k *keeper) among(m ledger.Membership) {
	mine, ok := m.Of(k.host())
	if !ok || k.want == nil || len(m.Voters()) < len(m.Members) {
		return // a change of members is under way
	}
	if k.want.ID == "" && k.state != nil && k.state.ID == "" {
		known := *k.state
		known.ID = mine.ID
		k.state = &known
		k.poke()
	}
	peers := map[string]string{}
	for _, one := range m.Members {
		peers[one.Host] = one.Peer
	}
	if maps.Equal(peers, k.want.Initial) {
		return
	}
	own := *k.want
	own.Initial = peers
	k.want = &own
	if k.state != nil && k.state.Problem == dataGone { // it waits for the others
		close(k.woken)
		k.woken = make(chan struct{})
	}
	k.settings.update(func(c *Config) {
		if c.Store.Member != nil && c.Store.Member.ID == own.ID {
			c.Store.Member = &own
		}
	})
}

// sameHosts reports whether the peers that a member knows are those that serve its clients now.
func sameHosts(initial map[string]string, endpoints []string) bool {
	host := func(raw string) string {
		u, err := url.Parse(raw)
		if err != nil {
			return raw
		}
		return u.Hostname()
	}
	now := map[string]bool{}
	for _, e := range endpoints {
		now[host(e)] = true
	}
	for _, peer := range initial {
		if !now[host(peer)] {
			return false
		}
	}
	return len(now) == len(initial)
}

// memberClient shows this host's certificate.
func (k *keeper) memberClient() (*http.Client, error) {
	ca, err := os.ReadFile(k.files.CA)
	if err != nil {
		return nil, err
	}
	pair, err := identity.Load(k.files.Cert, k.files.Key)
	if err != nil {
		return nil, err
	}
	cfg, err := identity.ClientConfig(ca, pair)
	if err != nil {
		return nil, err
	}
	return &http.Client{Timeout: emptyWait, Transport: &http.Transport{TLSClientConfig: cfg}}, nil
}

// serve listens at the member's peer address. The function that it returns ends that.
func (e *empties) serve(gate *identity.Gate) (func(), error) {
	u, err := url.Parse(e.own.PeerURL)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", u.Host)
	if err != nil {
		return nil, err
	}
	server := &http.Server{ReadHeaderTimeout: emptyWait, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), Handler: e}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(tls.NewListener(l, gate.Config())) }) // ends with Close, always with an error
	return func() { _ = server.Close(); serving.Wait() }, nil
}

// ServeHTTP takes in that another member is empty, and says that this one is.
func (e *empties) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	if _, ours := e.own.Initial[name]; r.URL.Path != emptyPath || !ours || r.URL.Query().Get("token") != e.token {
		http.NotFound(w, r)
		return
	}
	e.mu.Lock()
	e.known[name] = true
	e.mu.Unlock()
	_, _ = io.WriteString(w, emptyPath+" "+e.token)
	select {
	case e.more <- struct{}{}:
	default:
	}
}

// tell tells the member at a peer URL, and reports whether it has answered that it is empty too.
func (e *empties) tell(ctx context.Context, peer string) bool {
	q := url.Values{"name": {e.own.Name}, "token": {e.token}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(peer, "/")+emptyPath+"?"+q.Encode(), nil)
	if err != nil {
		return false
	}
	answer, err := e.client.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	return err == nil && answer.StatusCode == http.StatusOK && bytes.Equal(text, []byte(emptyPath+" "+e.token))
}

// all reports whether all the others are empty.
func (e *empties) all(answered map[string]bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name := range e.own.Initial {
		if name != e.own.Name && !answered[name] && !e.known[name] {
			return false
		}
	}
	return true
}

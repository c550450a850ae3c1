package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"berth/runtime/identity"
	"berth/runtime/ledger"
	"berth/runtime/store/embedded"
	"berth/runtime/store/etcd"
)

// keeper runs this host's member of the embedded store: the one that its configuration names, and from then on the one
// that the store's record of its members names.
//
// A member begins without data only when the cluster begins with it, or when the record says that it is on its way in.
// One that has had a vote and lost its data must not vote again: it would have forgotten what it voted for. That is
// reported, and the command line replaces it by a new one; when all members have lost theirs, nobody is left to be contradicted, and
// the store begins anew (memberempty.go). Data is removed only when etcd itself says that the member
// was removed, never because of a record, which may be one that was restored from a backup.
type keeper struct {
	settings *settings
	files    Files
	log      *slog.Logger
	gate     *identity.Gate // nil with an external store
	news     chan struct{}  // of size 1: state has changed

	mu       sync.Mutex
	want     *Member
	woken    chan struct{} // closed, and made anew, when want changes
	joining  string        // ID of the member that may begin without data
	declared *ledger.Membership
	state    *ledger.StoreMember
	list     func(context.Context) ([]etcd.Member, error) // asks the store for its members; nil while it is not connected
}

func newKeeper(s *settings, files Files, log *slog.Logger) (*keeper, error) {
	k := &keeper{settings: s, files: files, log: log, news: make(chan struct{}, 1), woken: make(chan struct{})}
	c, _ := s.store()
	k.want = c.Member
	own, err := ownCertificate(files)
	if err != nil || own == nil {
		return k, err
	}
	ca, err := os.ReadFile(files.CA)
	if err != nil {
		return nil, err
	}
	k.gate, err = identity.NewGate(ca, func() (*tls.Certificate, error) {
		pair, err := identity.Load(files.Cert, files.Key)
		if err != nil {
			return nil, err
		}
		return pair.TLS()
	})
	if err == nil {
		k.gate.Refuse(k.knownRefusals())
	}
	return k, err
}

// dataGone is what is wrong with a member that has to be replaced by a new one.
const dataGone = "its data is gone"

// dir is the data folder of a member.
func (k *keeper) dir(m Member) string { return m.folder(k.files.Data) }

func hasData(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "member"))
	return err == nil
}

// run keeps the member running until ctx ends.
func (k *keeper) run(ctx context.Context) {
	for ctx.Err() == nil {
		k.mu.Lock()
		want, woken, joining := k.want, k.woken, k.joining
		k.mu.Unlock()
		if want != nil {
			if want.ID == "" && !want.Began || want.ID != "" && want.ID == joining || hasData(k.dir(*want)) {
				k.runOne(ctx, *want, woken)
				continue
			}
			k.log.Error("store member does not start: its data is gone; the next \"berth up\" replaces it", "folder", k.dir(*want))
			k.report(&ledger.StoreMember{ID: k.idOf(*want), Problem: dataGone})
			if k.gate != nil {
				if k.allEmpty(ctx, *want, woken) {
					k.runOne(ctx, k.anew(*want), woken)
				}
				continue
			}
		}
		select {
		case <-ctx.Done():
		case <-woken:
		}
	}
}

// runOne runs a member until ctx ends, another is wanted, or it is removed from the cluster.
func (k *keeper) runOne(ctx context.Context, m Member, woken <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer cancel()
	waiting.Go(func() {
		select {
		case <-woken:
			cancel()
		case <-ctx.Done():
		}
	})

	alone := m.Alone
	if m.Alone {
		// Once only: a member that the store has got since must not be cast out by a start that comes later.
		k.keep(m.ID, func(m *Member) { m.Alone = false })
	}
	var server *embedded.Server
	err := retry(ctx, k.log, "start of the store member", func(ctx context.Context) error {
		if full := noRoom(k.dir(m)); full != "" {
			k.report(&ledger.StoreMember{ID: k.idOf(m), Waits: full})
			return errors.New(full)
		}
		cfg := embedded.Config{
			Name: m.Name, DataDir: k.dir(m), ClientURL: m.ClientURL, PeerURL: m.PeerURL, Initial: m.Initial, Token: m.Token,
			Joins: m.ID != "", Alone: alone, First: m.first(), Gate: k.gate,
			CAFile: k.files.CA, CertFile: k.files.Cert, KeyFile: k.files.Cert, Log: os.Stderr,
		}
		if m.ID == "" && !m.Began {
			cfg.Begins = newEmpties(m)
		}
		var err error
		server, err = embedded.Start(ctx, cfg)
		if errors.Is(err, embedded.ErrDataGone) {
			k.log.Error("store member cannot start", "err", err)
			k.report(&ledger.StoreMember{ID: k.idOf(m), Problem: dataGone})
			<-ctx.Done() // another member is wanted, or the agent ends
			return ctx.Err()
		}
		return err
	})
	if err != nil {
		if server != nil {
			server.Stop()
		}
		return
	}
	k.log.Info("store member serves", "member", m.Name, "id", server.ID(), "url", m.ClientURL)
	k.serves(m, server.ID())
	full := make(chan string, 1)
	waiting.Go(func() { k.watchRoom(ctx, k.dir(m), full) })
	select {
	case <-ctx.Done():
		server.Stop()
		return
	case why := <-full:
		k.log.Error("store member stops", "err", why)
		server.Stop()
		return // it begins again when there is room
	case err := <-server.Err():
		k.log.Error("store member ended, starting it again", "err", err)
	case <-server.Ended():
	}
	removed := server.Removed()
	server.Stop()
	if removed || k.unknown(ctx, server.ID()) {
		k.leave(m, server.ID())
		return
	}
	_ = sleep(ctx, lastPause)
}

// keep writes down what changes of the member that is wanted, unless that is another one by now.
func (k *keeper) keep(id string, change func(*Member)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.want != nil && k.want.ID == id {
		own := *k.want
		change(&own)
		k.want = &own
		k.settings.update(func(c *Config) {
			if c.Store.Member != nil && c.Store.Member.ID == id {
				c.Store.Member = &own
			}
		})
	}
}

// serves notes that a member runs, and clears away the data of those before it.
func (k *keeper) serves(m Member, id string) {
	k.keep(m.ID, func(m *Member) { m.Began, m.First = true, nil })
	olds, _ := filepath.Glob(k.files.Data + "*") // the pattern is well-formed
	for _, dir := range olds {
		if dir == k.dir(m) || dir != k.files.Data && !strings.HasPrefix(dir, k.files.Data+"-") {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			k.log.Error("data of an earlier store member not deleted", "err", err)
		}
	}
	k.report(&ledger.StoreMember{ID: id})
}

// follow takes over what the store records of its members.
func (k *keeper) follow(m ledger.Membership) {
	if endpoints := m.Endpoints(); len(endpoints) > 0 {
		k.settings.update(func(c *Config) { c.Store.Endpoints = endpoints })
	}
	if err := changeAccess(k.files.Access, func(a *Access) (bool, error) { return a.Follow(m), nil }); err != nil {
		k.log.Error("the command line's access not updated", "err", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.declared = &m
	k.among(m)
	mine, ok := m.Of(k.host())
	if !ok {
		if k.want == nil && k.gate != nil {
			k.dropKeys()
		}
		return
	}
	running := k.state != nil && k.state.Problem == "" && k.state.ID == mine.ID
	wanted := k.want != nil && k.want.ID == mine.ID
	switch {
	case !mine.Learner && k.joining == mine.ID:
		k.joining = "" // it has a vote to lose now
	case running || wanted && (!mine.Learner || k.joining == mine.ID):
		return
	}
	next := Member{Name: mine.Host, ClientURL: mine.Client, PeerURL: mine.Peer, ID: mine.ID, Initial: map[string]string{}, Token: k.settings.cluster()}
	for _, one := range m.Members {
		next.Initial[one.Host] = one.Peer
	}
	switch {
	case mine.Learner:
		k.joining = mine.ID
	case wanted || !hasData(k.dir(next)):
		if k.want == nil {
			k.state = &ledger.StoreMember{ID: mine.ID, Problem: dataGone}
			k.poke()
		}
		return
	}
	k.settings.update(func(c *Config) { c.Store.Member = &next })
	k.want = &next
	close(k.woken)
	k.woken = make(chan struct{})
}

func (k *keeper) host() string { return k.settings.host() }

// report says how the member fares, nil for a host without one.
func (k *keeper) report(s *ledger.StoreMember) {
	k.mu.Lock()
	same := k.state != nil && s != nil && *k.state == *s
	k.state = s
	k.mu.Unlock()
	if !same {
		k.poke()
	}
}

func (k *keeper) poke() {
	select {
	case k.news <- struct{}{}:
	default:
	}
}

// fares is how the member fares.
func (k *keeper) fares() *ledger.StoreMember {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/store"
)

// scope is the part of the store that a host needs: little that is of the whole cluster, and all about the networks that the
// host is on and the hosts that it meets there. An agent watches no more, so what it costs grows with its host's networks
// and not with the cluster.
type scope struct {
	me       string
	log      *slog.Logger
	networks map[string]reach // that the host is on
	projects map[string]bool  // of the host's endpoints: they may be on a network of another project
	hosts    map[string]bool  // of the cluster
}

// reach is how far one network reaches.
type reach struct {
	project string
	hosts   []string // sorted
}

// scopeOf is a host's in a snapshot.
func scopeOf(me string, log *slog.Logger, snap store.Snapshot) *scope {
	s := &scope{me: me, log: log, networks: map[string]reach{}, projects: map[string]bool{}, hosts: map[string]bool{}}
	s.takeAll(snap)
	return s
}

func (s *scope) takeAll(snap store.Snapshot) {
	for _, p := range snap.Pairs {
		s.take(store.Event{Pair: p})
	}
}

// take takes an event in, and reports whether other parts may be needed since.
func (s *scope) take(e store.Event) bool {
	if strings.HasPrefix(e.Key, ledger.Endpoints) {
		return s.takeEndpoint(e)
	}
	if k := ledger.Split(e.Key, ledger.Hosts); len(k) == 1 {
		return s.takeHost(k[0], e.Deleted)
	}
	k := ledger.Split(e.Key, ledger.Networks)
	if len(k) != 1 {
		return false
	}
	var n placement.Network
	if !e.Deleted && json.Unmarshal(e.Value, &n) != nil {
		return false // the view leaves it out, and says so
	}
	old, was := s.networks[k[0]]
	if _, here := n.Blocks[s.me]; !here {
		delete(s.networks, k[0])
		return was
	}
	now := reach{n.Project, slices.Sorted(maps.Keys(n.Blocks))}
	s.networks[k[0]] = now
	return !was || old.project != now.project || !slices.Equal(old.hosts, now.hosts)
}

// takeHost notes which hosts there are, and reports whether that changes how the host's parts are watched.
func (s *scope) takeHost(name string, gone bool) bool {
	before := s.everywhere()
	if gone {
		delete(s.hosts, name)
	} else {
		s.hosts[name] = true
	}
	return s.everywhere() != before
}

// everywhere reports whether the host meets all others on one network or another. There is little in the store then that it
// does not need, and one watch of everything costs less than many.
func (s *scope) everywhere() bool {
	met := map[string]bool{s.me: true}
	for _, r := range s.networks {
		for _, h := range r.hosts {
			met[h] = true
		}
	}
	for h := range s.hosts {
		if !met[h] {
			return false
		}
	}
	return true
}

// takeEndpoint notes whose endpoints the host has.
func (s *scope) takeEndpoint(e store.Event) bool {
	var at struct{ Host, Project string }
	if e.Deleted || !bytes.Contains(e.Value, []byte(s.me)) || json.Unmarshal(e.Value, &at) != nil || at.Host != s.me || at.Project == "" || s.projects[at.Project] {
		return false
	}
	s.projects[at.Project] = true
	return true
}

// parts are the prefixes that the host needs, sorted. None begins with another.
func (s *scope) parts() []string {
	all := map[string]bool{
		ledger.EpochKey: true, ledger.EncryptionKey: true, ledger.MembersKey: true,
		ledger.Hosts: true, ledger.Alive: true, ledger.Networks: true, ledger.Ports: true, ledger.Withdrawn: true,
		ledger.Refused: true, ledger.Renewals: true,
		ledger.StateKey(s.me, ""): true, ledger.Guests + s.me + "/": true,
	}
	for project := range s.projects {
		all[ledger.LockKey(project)] = true
	}
	for network, r := range s.networks {
		all[ledger.Endpoints+network+"/"] = true
		all[ledger.Readies+network+"/"] = true
		if r.project != "" {
			all[ledger.LockKey(r.project)] = true
		}
		for _, host := range r.hosts {
			all[ledger.StateKey(host, "")] = true
			all[ledger.Guests+host+"/"] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// cut is what of a snapshot of everything the host needs: that, and what it has said itself.
func (s *scope) cut(snap store.Snapshot) store.Snapshot {
	needs := store.Under(s.parts())
	out := store.Snapshot{Revision: snap.Revision}
	for _, p := range snap.Pairs {
		if needs(p.Key) || ledger.Owner(p.Key) == s.me {
			out.Pairs = append(out.Pairs, p)
		}
	}
	return out
}

// shift is a change of scope: parts that are needed from now on, as they were read, and parts that no longer are.
type shift struct {
	came []store.Snapshot
	left []string
}

// readLimit bounds the parts that are read at the same time.
const readLimit = 16

// shift reads the parts that are needed now and were not before. Since each is read at a revision of its own, floor says from
// which on its events are news.
func (s *scope) shift(ctx context.Context, st store.Store, before, now []string, floor map[string]int64) (shift, error) {
	var out shift
	for _, p := range before {
		if _, still := slices.BinarySearch(now, p); !still {
			out.left = append(out.left, p)
			delete(floor, p)
		}
	}
	var missing []string
	for _, p := range now {
		if _, had := slices.BinarySearch(before, p); !had {
			missing = append(missing, p)
		}
	}
	out.came = make([]store.Snapshot, len(missing))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(readLimit)
	for i, p := range missing {
		g.Go(func() error {
			return retry(gctx, s.log, "reading of a part of the store", func(ctx context.Context) (err error) {
				out.came[i], err = st.Get(ctx, p)
				return err
			})
		})
	}
	if err := g.Wait(); err != nil {
		return shift{}, err
	}
	for i, p := range missing {
		floor[p] = out.came[i].Revision
	}
	return out, nil
}

// watch watches the parts of a store. All drivers can; a store that cannot would be watched whole.
func (s *scope) watch(ctx context.Context, st store.Store, parts []string, after int64) <-chan store.Batch {
	if p, ok := st.(store.PartsWatcher); ok && !s.everywhere() {
		return p.WatchParts(ctx, parts, after)
	}
	return st.Watch(ctx, ledger.Root, after)
}

// unknown is what of a batch is in the parts, and was not there when they were read: that may have been later than the others.
func unknown(b store.Batch, parts []string, floor map[string]int64) store.Batch {
	all := b.Events
	b.Events = nil
	for _, e := range all {
		if part, ok := store.Part(parts, e.Key); ok && e.Modified > floor[part] {
			b.Events = append(b.Events, e)
		}
	}
	return b
}

package agent

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/overlay"
	"berth/runtime/store"
)

// onNetwork is a network of a project of its own name, and who is on it.
func onNetwork(t *testing.T, name string, hosts ...string) store.Event {
	t.Helper()
	n := placement.Network{Name: name, Project: "p" + name, VNI: overlay.FirstVNI, Blocks: map[string]placement.Block{}}
	for _, h := range hosts {
		n.Blocks[h] = placement.Block{}
	}
	return event(t, ledger.NetworkKey(name), n)
}

func TestAHostNeedsOfTheStoreItsNetworksAndWhomItMeetsThere(t *testing.T) {
	s := scopeOf("me", slog.New(slog.DiscardHandler), store.Snapshot{})
	always := s.parts()
	about := func() []string {
		return slices.DeleteFunc(s.parts(), func(p string) bool { return slices.Contains(always, p) })
	}
	guest := at("me", "10.1.0.1")
	guest.Network, guest.Project = "a", "other"
	theirs := guest
	theirs.Host, theirs.Project = "you", "stranger"
	mine := []string{"berth/endpoints/a/", "berth/guests/you/", "berth/projects/pa/lock", "berth/ready/a/", "berth/state/you/"}
	for _, step := range []struct {
		what    string
		event   store.Event
		changed bool
		want    []string
	}{
		{"a network of others", onNetwork(t, "theirs", "you", "stranger"), false, nil},
		{"a network of this host", onNetwork(t, "a", "me", "you"), true, mine},
		{"the same again", onNetwork(t, "a", "me", "you"), false, mine},
		{"another key", event(t, ledger.EndpointKey(at("me", "10.1.0.1")), at("me", "10.1.0.1")), false, mine},
		{"a host joins it", onNetwork(t, "a", "me", "you", "third"), true,
			[]string{"berth/endpoints/a/", "berth/guests/third/", "berth/guests/you/", "berth/projects/pa/lock", "berth/ready/a/", "berth/state/third/", "berth/state/you/"}},
		{"one that is not understood", store.Event{Pair: store.Pair{Key: ledger.NetworkKey("a"), Value: []byte("{")}}, false,
			[]string{"berth/endpoints/a/", "berth/guests/third/", "berth/guests/you/", "berth/projects/pa/lock", "berth/ready/a/", "berth/state/third/", "berth/state/you/"}},
		{"this host leaves it", onNetwork(t, "a", "you"), true, nil},
		{"it goes", event(t, ledger.NetworkKey("a"), nil), false, nil},
		{"an endpoint of another host", event(t, ledger.EndpointKey(theirs), theirs), false, nil},
		{"an endpoint here of another project than its network's", event(t, ledger.EndpointKey(guest), guest), true, []string{"berth/projects/other/lock"}},
		{"the same again", event(t, ledger.EndpointKey(guest), guest), false, []string{"berth/projects/other/lock"}},
	} {
		if got := s.take(step.event); got != step.changed {
			t.Errorf("%s: other parts are needed: %t, want %t", step.what, got, step.changed)
		}
		if diff := cmp.Diff(strings.Join(step.want, "\n"), strings.Join(about(), "\n")); diff != "" {
			t.Errorf("%s: -want +got\n%s", step.what, diff)
		}
	}
}

// Every key that a view takes in has to be in the scope of a host that it is about: else its changes would be missed.
func TestAViewOfWhatAHostNeedsIsLikeThatOfTheWholeStore(t *testing.T) {
	var snap store.Snapshot
	put := func(key string, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		snap.Pairs = append(snap.Pairs, store.Pair{Key: key, Value: b, Modified: 1})
	}
	endpoint := func(network, host, container, ip string) placement.Endpoint {
		e := at(host, ip)
		e.Network, e.Container = network, container
		return e
	}
	for _, e := range []store.Event{onNetwork(t, "ours", "me", "you"), onNetwork(t, "theirs", "you", "stranger")} {
		snap.Pairs = append(snap.Pairs, e.Pair)
	}
	for i, host := range []string{"me", "you", "stranger"} {
		ip := netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})
		put(ledger.HostKey(host), ledger.Host{Name: host, VTEP: ip})
		put(ledger.AliveKey(host), "")
		put(ledger.StateKey(host, "c"), ledger.State{Running: true})
		put(ledger.WithdrawnKey(host, "d"), "")
	}
	for _, e := range []placement.Endpoint{endpoint("ours", "me", "c", "10.1.0.1"), endpoint("ours", "you", "c2", "10.1.0.2"),
		endpoint("theirs", "stranger", "c3", "10.2.0.3")} {
		put(ledger.EndpointKey(e), e)
		e.Container += "-guest"
		put(ledger.GuestKey(e), e)
		put(ledger.ReadyKey(e.Network, e.Host), ledger.Ready{Revision: 1})
	}
	put(ledger.ReadyKey("gone", "me"), ledger.Ready{Revision: 1})
	put(ledger.LockKey("pours"), ledger.Lock{})
	put(ledger.EncryptionKey, ledger.Encryption{})
	put(ledger.MembersKey, ledger.Membership{})
	put(ledger.RefusedKey("stranger"), ledger.Refusal{})
	put(ledger.PortKey("tcp", 80), placement.PortRecord{})

	log := slog.New(slog.DiscardHandler)
	whole, part := load("me", log, snap), load("me", log, scopeOf("me", log, snap).cut(snap))
	for what, v := range map[string][2]any{
		"endpoints":  {whole.of("ours"), part.of("ours")},
		"guests":     {whole.guests["ours"], part.guests["ours"]},
		"own states": {whole.states["me"], part.states["me"]},
		"states":     {whole.states["you"], part.states["you"]},
		"hosts":      {whole.hosts, part.hosts},
		"alive":      {whole.alive, part.alive},
		"ready":      {whole.ready, part.ready},
		"withdrawn":  {whole.withdrawn, part.withdrawn},
		"ports":      {whole.ports, part.ports},
		"locked":     {whole.locked, part.locked},
		"refused":    {whole.refused, part.refused},
		"members":    {whole.members, part.members},
		"stands":     {map[string]bool{"ours/you": true}, part.stands},
		"foreign":    {map[string]map[string]ledger.State{"me": {"c": {Running: true}}, "you": {"c": {Running: true}}}, part.states},
	} {
		if diff := cmp.Diff(v[0], v[1], cmp.AllowUnexported(guest{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s: -whole +part\n%s", what, diff)
		}
	}
	if got := part.of("theirs"); len(got) != 0 {
		t.Errorf("endpoints of a network of others are held: %v", got)
	}
}

func TestWhatIsNotNeededAnyMoreIsForgotten(t *testing.T) {
	v := twoHosts(t)
	mine, yours := at("me", "10.1.0.1"), at("you", "10.1.0.2")
	yours.Container = "d"
	var c changes
	came := store.Snapshot{}
	for key, value := range map[string]any{ledger.EndpointKey(mine): mine, ledger.EndpointKey(yours): yours,
		ledger.StateKey("you", "d"): ledger.State{Running: true}, ledger.GuestKey(yours): yours, ledger.LockKey("p"): ledger.Lock{},
		ledger.ReadyKey("net", "you"): ledger.Ready{Revision: 1}} {
		came.Pairs = append(came.Pairs, event(t, key, value).Pair)
	}
	v.shift(shift{came: []store.Snapshot{came}}, &c)
	if !c.local || !c.zones["net"] || len(c.serving) != 1 || !c.paths || len(v.of("net")) != 2 {
		t.Errorf("after parts came: local %t, zones %v, serving %v, paths %t, endpoints %v", c.local, c.zones, c.serving, c.paths, v.of("net"))
	}
	c = changes{}
	v.shift(shift{left: []string{"berth/endpoints/net/", "berth/guests/you/", "berth/projects/p/lock", "berth/ready/net/", "berth/state/you/"}}, &c)
	if len(v.of("net")) != 0 || len(v.guests["net"]) != 0 || len(v.locked) != 0 || len(v.stands) != 0 || len(v.states["you"]) != 0 {
		t.Errorf("left are endpoints %v, guests %v, locks %v, stands %v, states %v", v.of("net"), v.guests, v.locked, v.stands, v.states)
	}
	if !c.left || !c.local || !c.unlocked {
		t.Errorf("after parts left: left %t, local %t, unlocked %t; want all", c.left, c.local, c.unlocked)
	}
}

// A part that was read later than the others has some of what the watch sends after it.
func TestEventsThatWereReadAlreadyAreNoNews(t *testing.T) {
	b := store.Batch{Revision: 8, Events: []store.Event{{Pair: store.Pair{Key: "a/x", Modified: 8}}, {Pair: store.Pair{Key: "b/x", Modified: 8}}}}
	got := unknown(b, []string{"a/", "b/"}, map[string]int64{"b/": 8})
	if len(got.Events) != 1 || got.Events[0].Key != "a/x" || len(b.Events) != 2 {
		t.Errorf("news are %v of %v", got.Events, b.Events)
	}
	if got := unknown(b, []string{"a/", "b/"}, map[string]int64{"b/": 7}); len(got.Events) != 2 {
		t.Errorf("news are %v, want all", got.Events)
	}
}

func TestAHostThatMeetsAllOthersWatchesTheStoreWhole(t *testing.T) {
	put := func(key, value string) store.Event {
		return store.Event{Pair: store.Pair{Key: key, Value: []byte(value)}}
	}
	s := scopeOf("me", slog.New(slog.DiscardHandler), store.Snapshot{})
	for i, c := range []struct {
		e          store.Event
		everywhere bool
	}{
		{put(ledger.Hosts+"me", "{}"), true},
		{put(ledger.Hosts+"other", "{}"), false},
		{put(ledger.Networks+"n", `{"name":"n","blocks":{"me":{},"other":{}}}`), true},
		{put(ledger.Hosts+"third", "{}"), false},
		{store.Event{Pair: store.Pair{Key: ledger.Hosts + "third"}, Deleted: true}, true},
		{store.Event{Pair: store.Pair{Key: ledger.Networks + "n"}, Deleted: true}, false},
	} {
		before := s.everywhere()
		if told := s.take(c.e); s.everywhere() != c.everywhere || !told && before != c.everywhere {
			t.Errorf("event %d: everywhere %v, want %v; told %v", i, s.everywhere(), c.everywhere, told)
		}
	}
}

func TestAStoreGoesOnInItsEpochAndForwards(t *testing.T) {
	was := remembered{Epoch: "e1", Revision: 7}
	for name, c := range map[string]struct {
		epoch    string
		revision int64
		want     bool
	}{
		"later":          {`{"id":"e1"}`, 9, true},
		"as far":         {`{"id":"e1"}`, 7, true},
		"gone back":      {`{"id":"e1"}`, 6, false},
		"another epoch":  {`{"id":"e2"}`, 9, false},
		"being restored": {`{"id":"e1","restoring":"b"}`, 9, false},
		"not read":       {`{`, 9, false},
	} {
		snap := store.Snapshot{Revision: c.revision, Pairs: []store.Pair{{Key: ledger.EpochKey, Value: []byte(c.epoch)}}}
		if got := was.goesOn(snap); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if was.goesOn(store.Snapshot{Revision: 9}) {
		t.Error("an empty store goes on")
	}
}

package ledger

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"berth/placement"
	"berth/runtime/store"
)

// world is what runs on some hosts, and a store in memory.
type world struct {
	hosts    []string
	found    map[string]*Found
	keys     map[string]store.Pair
	revision int64
}

func newWorld(hosts ...string) *world {
	w := &world{hosts: hosts, found: map[string]*Found{}, keys: map[string]store.Pair{}}
	for _, h := range hosts {
		w.found[h] = &Found{Host: h, Tasks: map[string]map[placement.Task]placement.TaskRecord{},
			Pins: map[string][]string{}, Containers: map[string]bool{}}
	}
	return w
}

func (w *world) commit(t store.Txn) {
	w.revision++
	for _, p := range t.Puts {
		w.keys[p.Key] = store.Pair{Key: p.Key, Value: p.Value, Modified: w.revision}
	}
	for _, k := range t.Deletes {
		delete(w.keys, k)
	}
}

func (w *world) put(key string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.commit(store.Txn{Puts: []store.Put{{Key: key, Value: b}}})
}

func (w *world) view(t failer) *View {
	s := store.Snapshot{Revision: w.revision}
	for _, k := range slices.Sorted(maps.Keys(w.keys)) {
		s.Pairs = append(s.Pairs, w.keys[k])
	}
	v, err := Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

type failer interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// tell has one host tell, as its agent does: until nothing is left.
func (w *world) tell(t failer, host string) []string {
	for range 10 {
		txn, problems := Rebuild(w.view(t), *w.found[host])
		if len(txn.Puts)+len(txn.Deletes) == 0 {
			v := w.view(t)
			w.put(HostKey(host), Host{Name: host, Epoch: v.Epoch.ID})
			return problems
		}
		w.commit(txn)
	}
	t.Fatalf("host %s does not come to an end", host)
	return nil
}

// lose begins an epoch in which something is lost.
func (w *world) lose() { w.put(EpochKey, NewEpoch(true)) }

const pool = 4 // of VNIs and subnets: few, so that they come again

// overlay makes a network on hosts; number is its VNI and subnet.
func (w *world) overlay(name string, number int, hosts ...string) placement.Network {
	n := placement.Network{Name: name, Project: name, VNI: uint32(1<<20 + number), Subnet: netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", number)),
		Blocks: map[string]placement.Block{}}
	for _, h := range hosts {
		i := slices.Index(w.hosts, h)
		n.Blocks[h] = placement.Block{Range: netip.MustParsePrefix(fmt.Sprintf("10.%d.255.%d/28", number, 16*i)),
			Gateway: netip.MustParseAddr(fmt.Sprintf("10.%d.255.%d", number, 16*i+1))}
		mine := n
		mine.Blocks = map[string]placement.Block{h: n.Blocks[h]}
		w.found[h].Networks = append(w.found[h].Networks, mine)
	}
	return n
}

// run makes a container on a host, as an up would: with the lowest address that the store has free.
func (w *world) run(t failer, network, host string, number int) {
	v := w.view(t)
	at := slices.IndexFunc(v.Networks, func(n placement.Network) bool { return n.Name == network })
	ip := v.Networks[at].Subnet.Addr().Next()
	for slices.ContainsFunc(v.Endpoints, func(e placement.Endpoint) bool { return e.Network == network && e.IP == ip }) {
		ip = ip.Next()
	}
	e := placement.Endpoint{Network: network, Container: fmt.Sprintf("%s-web-%d", network, number), Host: host, Project: network,
		Service: "web", Number: number, IP: ip, MAC: placement.MACFor(ip)}
	task := placement.Task{Service: "web", Number: number}
	rec := placement.TaskRecord{Host: host, Container: e.Container, Hash: "h"}
	w.put(EndpointKey(e), e)
	w.put(TaskKey(network, task), rec)
	f := w.found[host]
	f.Endpoints = append(f.Endpoints, e)
	f.Containers[e.Container] = true
	if f.Tasks[network] == nil {
		f.Tasks[network] = map[placement.Task]placement.TaskRecord{}
	}
	f.Tasks[network][task] = rec
}

// remove takes a container away, and what the store says of it.
func (w *world) remove(network string, number int) {
	name := fmt.Sprintf("%s-web-%d", network, number)
	for _, f := range w.found {
		if !f.Containers[name] {
			continue
		}
		delete(f.Containers, name)
		f.Endpoints = slices.DeleteFunc(f.Endpoints, func(e placement.Endpoint) bool { return e.Container == name })
		delete(f.Tasks[network], placement.Task{Service: "web", Number: number})
	}
	delete(w.keys, Endpoints+network+"/"+name)
	delete(w.keys, TaskKey(network, placement.Task{Service: "web", Number: number}))
}

// down takes a network and all that is on it away.
func (w *world) down(network string) {
	for n := range 20 {
		w.remove(network, n)
	}
	for _, f := range w.found {
		delete(f.Tasks, network)
		f.Networks = slices.DeleteFunc(f.Networks, func(n placement.Network) bool { return n.Name == network })
	}
	delete(w.keys, NetworkKey(network))
}

// records is what the store says of networks, endpoints and tasks.
func (w *world) records() map[string]string {
	out := map[string]string{}
	for k, p := range w.keys {
		if k != EpochKey && Split(k, Hosts) == nil {
			out[k] = string(p.Value)
		}
	}
	return out
}

// truth checks that the store says of everything that runs what is so, and nothing twice.
func (w *world) truth(t failer) {
	v := w.view(t)
	vnis, subnets := map[uint32]string{}, map[netip.Prefix]string{}
	for _, n := range v.Networks {
		if vnis[n.VNI] != "" || subnets[n.Subnet] != "" {
			t.Fatalf("networks %s and %s%s have one VNI or subnet", n.Name, vnis[n.VNI], subnets[n.Subnet])
		}
		vnis[n.VNI], subnets[n.Subnet] = n.Name, n.Name
	}
	addresses := map[string]string{}
	for _, e := range v.Endpoints {
		at := e.Network + " " + e.IP.String()
		if addresses[at] != "" {
			t.Fatalf("containers %s and %s have address %s", addresses[at], e.Container, at)
		}
		addresses[at] = e.Container
	}
	for _, f := range w.found {
		for _, e := range f.Endpoints {
			if d := cmp.Diff(string(w.keys[EndpointKey(e)].Value), encode(e)); d != "" {
				t.Fatalf("the store says of %s: %s", e.Container, d)
			}
		}
		for _, n := range f.Networks {
			i := slices.IndexFunc(v.Networks, func(r placement.Network) bool { return r.Name == n.Name })
			if i < 0 || v.Networks[i].VNI != n.VNI || v.Networks[i].Blocks[f.Host] != n.Blocks[f.Host] {
				t.Fatalf("host %s runs network %+v, which the store does not know", f.Host, n)
			}
		}
		for project, tasks := range f.Tasks {
			for task, rec := range tasks {
				if got := v.Projects[project].Tasks[task]; got != rec {
					t.Fatalf("the store says of task %s %+v, want %+v", task, got, rec)
				}
			}
		}
	}
}

func encode(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func TestAnEmptiedStoreIsRebuiltAsItWas(t *testing.T) {
	w := newWorld("a", "b", "c")
	w.put(NetworkKey("shop"), w.overlay("shop", 1, "a", "b", "c"))
	for i, h := range []string{"a", "b", "c", "a"} {
		w.run(t, "shop", h, i+1)
	}
	port := placement.PortRecord{Published: 80, Target: 8000, Protocol: "tcp", Project: "shop", Service: "web", Network: "shop"}
	w.found["a"].Ports, w.found["c"].Ports = []placement.PortRecord{port}, []placement.PortRecord{port}
	w.put(PortKey("tcp", 80), port)
	w.found["b"].Pins["shop"] = []string{"shop_data"}
	w.put(PinKey("shop", "shop_data"), "b")
	before := w.records()
	w.keys = map[string]store.Pair{}
	w.lose()
	for _, h := range []string{"c", "a", "b"} {
		if problems := w.tell(t, h); len(problems) > 0 {
			t.Error(problems)
		}
	}
	if d := cmp.Diff(before, w.records()); d != "" {
		t.Errorf("-before +rebuilt\n%s", d)
	}
}

func TestWhatAnotherHostHasToldIsNotOverruled(t *testing.T) {
	w := newWorld("a", "b")
	w.overlay("shop", 1, "a")
	w.overlay("shop", 2, "b")
	w.lose()
	if p := w.tell(t, "a"); len(p) > 0 {
		t.Error(p)
	}
	if p := w.tell(t, "b"); len(p) != 1 {
		t.Errorf("problems %q, want one", p)
	}
	if n := w.view(t).Networks; len(n) != 1 || n[0].Blocks["a"] == (placement.Block{}) {
		t.Errorf("networks %+v", n)
	}
}

func TestContainersOfOneHostThatHaveEachOthersOldAddressesAreBothTold(t *testing.T) {
	w := newWorld("a")
	w.put(NetworkKey("one"), w.overlay("one", 1, "a"))
	w.run(t, "one", "a", 1)
	w.run(t, "one", "a", 2)
	backup := maps.Clone(w.keys)
	w.remove("one", 1)
	w.remove("one", 2)
	w.run(t, "one", "a", 2)
	w.run(t, "one", "a", 1)
	w.keys = backup
	w.lose()
	if p := w.tell(t, "a"); len(p) > 0 {
		t.Error(p)
	}
	w.truth(t)
}

// Whatever was done since a backup was taken, with it restored and all hosts heard, in any order, the store says what
// runs, and nothing is given twice. With one host away, the others' is so.
func TestAnOldBackupIsCorrectedByWhatRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld("a", "b", "c")
		names := []string{"one", "two", "three"}
		standing := map[string]bool{}
		number := map[string]int{}
		step := func() {
			name := rapid.SampledFrom(names).Draw(t, "network")
			if !standing[name] {
				v := w.view(t)
				for n := range pool {
					if !slices.ContainsFunc(v.Networks, func(r placement.Network) bool { return r.VNI == uint32(1<<20+n) }) {
						number[name] = n
						break
					}
				}
				w.put(NetworkKey(name), w.overlay(name, number[name], w.hosts...))
				standing[name] = true
				return
			}
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1:
				w.down(name)
				standing[name] = false
			case 2, 3:
				w.remove(name, rapid.IntRange(1, 6).Draw(t, "number"))
			default:
				n := rapid.IntRange(1, 6).Draw(t, "number")
				w.remove(name, n)
				w.run(t, name, rapid.SampledFrom(w.hosts).Draw(t, "host"), n)
			}
		}
		for range rapid.IntRange(0, 15).Draw(t, "before") {
			step()
		}
		backup := maps.Clone(w.keys)
		for range rapid.IntRange(0, 15).Draw(t, "since") {
			step()
		}
		w.keys = backup
		w.lose()
		order := rapid.Permutation(w.hosts).Draw(t, "order")
		for _, h := range order {
			if p := w.tell(t, h); len(p) > 0 {
				t.Fatalf("host %s: %q", h, p)
			}
		}
		w.truth(t)
		for _, h := range order {
			if txn, _ := Rebuild(w.view(t), *w.found[h]); len(txn.Puts)+len(txn.Deletes) > 0 {
				t.Fatalf("host %s has something to tell again: %+v", h, txn)
			}
		}
	})
}

func TestWhoWasRefusedStaysRefusedInAStoreThatWasEmptied(t *testing.T) {
	w := newWorld("a", "b", "left", "back")
	w.found["a"].Refused = map[string]string{"left": "", "back": "second"}
	w.found["b"].Refused = map[string]string{"left": "", "back": "second", "b": "mine"}
	w.lose()
	for _, h := range w.hosts {
		w.tell(t, h)
	}
	want := map[string]Refusal{"left": {}, "back": {Admitted: "second"}}
	if d := cmp.Diff(want, w.view(t).Refused); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	// One that was away when the host came back knows an admission that is not good any more, or none.
	for _, admitted := range []string{"first", ""} {
		w.found["a"].Refused["back"] = admitted
		w.lose()
		w.tell(t, "a")
		w.tell(t, "b")
		if got := w.view(t).Refused["back"]; got.Admitted != "" {
			t.Errorf("with %q remembered, %q is let in", admitted, got.Admitted)
		}
		w.put(RefusedKey("back"), Refusal{Admitted: "second"})
	}
}

package scheduler

import (
	"errors"
	"fmt"
	"math/rand"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"berth/placement"
)

// drawWorld draws a small cluster (or one host) and a project.
func drawWorld(t *rapid.T) *scene {
	var options []option
	hosts := rapid.IntRange(1, 4).Draw(t, "hosts")
	for i := range hosts {
		var h []hostOption
		h = append(h, cpus(float64(rapid.IntRange(1, 4).Draw(t, "cpus"))))
		h = append(h, label("zone", rapid.SampledFrom([]string{"x", "y"}).Draw(t, "zone")))
		if rapid.IntRange(0, 4).Draw(t, "other port") == 0 {
			h = append(h, otherPort(80))
		}
		options = append(options, host(string(rune('a'+i)), h...))
	}
	for i := range rapid.IntRange(1, 5).Draw(t, "services") {
		options = append(options, drawService(t, i))
	}
	s := world(options...)
	for _, n := range s.p.Networks {
		n.ConfigHash = "1"
	}
	for _, v := range s.p.Volumes {
		v.ConfigHash = "1"
	}
	return s
}

// drawService draws service number i, which may depend on and share with lower ones.
func drawService(t *rapid.T, i int) option {
	s := []serviceOption{hash(rapid.SampledFrom([]string{"1", "2"}).Draw(t, "hash"))}
	maybe := func(name string, one int) bool { return rapid.IntRange(0, one).Draw(t, name) == 0 }
	if maybe("global", 5) {
		s = append(s, global())
	} else {
		s = append(s, replicas(rapid.IntRange(0, 4).Draw(t, "replicas")))
	}
	if maybe("reserves", 1) {
		s = append(s, reserve(float64(rapid.IntRange(1, 4).Draw(t, "halves"))/2, 0))
	}
	if maybe("constrained", 3) {
		s = append(s, constraint("node.labels.zone == "+rapid.SampledFrom([]string{"x", "y"}).Draw(t, "wanted zone")))
	}
	if maybe("port", 3) {
		s = append(s, port(uint16(80+rapid.IntRange(0, 1).Draw(t, "port number"))))
	}
	if maybe("max", 4) {
		s = append(s, maxPerHost(rapid.IntRange(1, 2).Draw(t, "max per host")))
	}
	if maybe("binpack", 3) {
		s = append(s, binpack())
	}
	if maybe("spread", 3) {
		s = append(s, spreadOver("node.labels.zone"))
	}
	if i == 0 || maybe("checked", 1) {
		s = append(s, healthcheck())
	}
	for _, n := range []string{"front", "back"} {
		if maybe("on "+n, 1) {
			s = append(s, on(n))
			if maybe("port of the cluster on "+n, 3) {
				s = append(s, ingress(uint16(90+10*len(n)+i)))
			}
		}
	}
	if maybe("volume", 3) {
		s = append(s, mounts(rapid.SampledFrom([]string{"v", "w", ""}).Draw(t, "volume name")))
	}
	if i > 0 && maybe("depends", 1) {
		d := rapid.IntRange(0, i-1).Draw(t, "on service")
		flags := rapid.SampledFrom([]string{"", "optional", "restart"}).Draw(t, "flags")
		condition := placement.Started
		if d == 0 && maybe("healthy", 1) {
			condition = placement.Healthy // s0 always has a health check
		}
		s = append(s, dependsOn(fmt.Sprintf("s%d", d), condition, flags))
	}
	if i > 0 && maybe("shares", 5) {
		s = append(s, sharesWith(fmt.Sprintf("s%d", rapid.IntRange(0, i-1).Draw(t, "with service"))))
	}
	return service(fmt.Sprintf("s%d", i), s...)
}

// mutate changes the file as a user would between two ups.
func mutate(t *rapid.T, s *scene) {
	for _, n := range s.p.Networks {
		if rapid.IntRange(0, 3).Draw(t, "edit network "+n.Key) == 0 {
			n.ConfigHash += "x"
		}
	}
	for _, v := range s.p.Volumes {
		if rapid.IntRange(0, 3).Draw(t, "edit volume "+v.Key) == 0 {
			v.ConfigHash += "x"
		}
	}
	for _, v := range s.p.Services {
		if rapid.Bool().Draw(t, "edit "+v.Name) {
			v.ConfigHash += "x"
			v.Replicas = rapid.IntRange(0, 4).Draw(t, "new replicas")
			if rapid.IntRange(0, 3).Draw(t, "new port") == 0 {
				v.Ports = []placement.Port{{Published: uint16(80 + rapid.IntRange(0, 1).Draw(t, "new port number")), Protocol: "tcp"}}
			}
			if len(v.Networks) > 0 && rapid.IntRange(0, 3).Draw(t, "leave a network") == 0 {
				v.Networks = v.Networks[1:]
			}
			if len(v.Constraints) > 0 && rapid.Bool().Draw(t, "drop constraint") {
				v.Constraints = nil
			} else if rapid.IntRange(0, 3).Draw(t, "constrain") == 0 {
				v.Constraints = []placement.Constraint{{Key: "node.labels.zone", Op: "==", Value: "x"}}
			}
		}
	}
}

// tryUp plans with --partial, and with volumes that differ made anew; errors of the file (sharing with nothing) end the
// case.
func tryUp(t *rapid.T, s *scene) *Plan {
	p, err := Up(s.p, s.o, UpOptions{Partial: true, RenewVolumes: map[string]bool{"app_v": true, "app_w": true}})
	if err != nil {
		if errors.Is(err, errCycle) {
			t.Fatalf("%v", err) // no file is drawn that says so
		}
		t.Skip(err.Error())
	}
	return p
}

// checkSafe fails when what runs breaks a rule.
func checkSafe(t *rapid.T, s *scene) {
	used := map[string]placement.Reservation{}
	perHost := map[string]int{}
	volumeHost := map[string]string{}
	names := map[string]string{}
	ips := map[string]string{}
	for i := range s.o.Containers {
		c := &s.o.Containers[i]
		if other, ok := names[c.Task.String()]; ok {
			t.Fatalf("%s is there twice: %s and %s", c.Task, other, c.Name)
		}
		names[c.Task.String()] = c.Name
		if !c.Running() {
			continue
		}
		used[c.Host] = used[c.Host].Add(c.Reservation)
		v := s.p.Service(c.Task.Service)
		if v == nil {
			continue // an orphan
		}
		key := c.Host + " " + v.Name
		perHost[key]++
		if v.MaxPerHost > 0 && perHost[key] > v.MaxPerHost && s.o.Cluster {
			t.Fatalf("%d tasks of %s on %s", perHost[key], v.Name, c.Host)
		}
		for _, m := range c.Mounts {
			if len(m.Source) < 64 && s.o.Cluster && v.Mode != placement.Global && s.o.Pins[m.Source] != "" {
				if h, ok := volumeHost[m.Source]; ok && h != c.Host {
					t.Fatalf("volume %s is used on %s and %s", m.Source, h, c.Host)
				}
				volumeHost[m.Source] = c.Host
			}
		}
		for n, ip := range c.Networks {
			if ip == "" && s.o.Cluster {
				t.Fatalf("%s has no address on %s", c.Name, n)
			}
			if other, ok := ips[n+ip]; ok && ip != "" {
				t.Fatalf("%s and %s have %s", other, c.Name, ip)
			}
			ips[n+ip] = c.Name
		}
	}
	for h, r := range used {
		if r.CPU > s.o.Host(h).Capacity.CPU && s.o.Cluster {
			t.Fatalf("%s holds %v of %v", h, r, s.o.Host(h).Capacity)
		}
	}
	for _, n := range s.o.Overlays {
		for h, b := range n.Blocks {
			for h2, b2 := range n.Blocks {
				if h != h2 && b.Range.Overlaps(b2.Range) {
					t.Fatalf("blocks of %s overlap: %v", n.Name, n.Blocks)
				}
			}
			for _, e := range s.o.Endpoints {
				if e.Network == n.Name && b.Range.Contains(e.IP) {
					t.Fatalf("%s has %s in the block of %s", e.Container, e.IP, h)
				}
			}
		}
	}
}

func TestSafetyNoPlanOverfillsAHostOrSharesAPort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWorld(t)
		for range 3 {
			plan := tryUp(t, s)
			t.Logf("%s%v", plan, plan.Unplaced)
			s.apply(t, plan)
			checkSafe(t, s)
			mutate(t, s)
		}
	})
}

func TestLivenessASecondUpHasNothingToDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWorld(t)
		for range 2 {
			first := tryUp(t, s)
			s.apply(t, first)
			second := tryUp(t, s)
			if !second.Empty() && len(first.Unplaced) == 0 {
				t.Fatalf("first\n%s\nsecond\n%s", first, second)
			}
			mutate(t, s)
		}
	})
}

func TestLivenessAnInterruptedUpConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWorld(t)
		if rapid.Bool().Draw(t, "something runs already") {
			s.apply(t, tryUp(t, s))
			mutate(t, s)
		}
		plan := tryUp(t, s)
		if len(plan.Steps) == 0 || len(plan.Unplaced) > 0 {
			return
		}
		straight, broken := s.clone(), s.clone()
		straight.apply(t, plan)
		stop := rapid.IntRange(0, len(plan.Steps)-1).Draw(t, "interrupted after")
		for i := range stop {
			broken.step(t, plan, &plan.Steps[i])
		}
		again := tryUp(t, broken)
		broken.apply(t, again)
		want, got := straight.summary(), broken.summary()
		if !s.o.Cluster { // without a store numbers may differ: new ones are one more than the highest
			want, got = straight.counts(), broken.counts()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("plan\n%s\ninterrupted after %d steps, then\n%s\n%s", plan, stop, again, diff)
		}
		if third := tryUp(t, broken); !third.Empty() {
			t.Fatalf("plan\n%s\ninterrupted after %d steps, then\n%s\nand still\n%s", plan, stop, again, third)
		}
	})
}

// someSteps carries out steps in any order that After allows, as a parallel executor that dies at some moment.
func someSteps(t *rapid.T, s *scene, p *Plan) {
	r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "order")))
	done := make([]bool, len(p.Steps))
	for range rapid.IntRange(0, len(p.Steps)).Draw(t, "steps done") {
		var ready []int
		for i := range p.Steps {
			if !done[i] && !slices.ContainsFunc(p.Steps[i].After, func(a int) bool { return !done[a] }) {
				ready = append(ready, i)
			}
		}
		i := ready[r.Intn(len(ready))]
		s.step(t, p, &p.Steps[i])
		done[i] = true
	}
}

func TestLivenessAKilledParallelUpConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWorld(t)
		if rapid.Bool().Draw(t, "something runs already") {
			s.apply(t, tryUp(t, s))
			mutate(t, s)
		}
		plan := tryUp(t, s)
		if len(plan.Unplaced) > 0 {
			return
		}
		straight := s.clone()
		straight.apply(t, plan)
		someSteps(t, s, plan)
		again := tryUp(t, s)
		t.Logf("first\n%s\nsecond\n%s", plan, again)
		s.apply(t, again)
		checkSafe(t, s)
		if third := tryUp(t, s); !third.Empty() {
			t.Fatalf("still\n%s", third)
		}
		want, got := straight.summary(), s.summary()
		if !s.o.Cluster { // without a store numbers may differ: new ones are one more than the highest
			want, got = straight.counts(), s.counts()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// counts is the number of tasks of each service that run.
func (s *scene) counts() []string {
	n := map[string]int{}
	for i := range s.o.Containers {
		c := &s.o.Containers[i]
		n[c.Task.Service+" "+c.State+" "+c.ConfigHash]++
	}
	var all []string
	for k, v := range n {
		all = append(all, fmt.Sprintf("%s: %d", k, v))
	}
	slices.Sort(all)
	return all
}

func TestThePlanDoesNotDependOnTheOrderOfTheObservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWorld(t)
		if rapid.Bool().Draw(t, "something runs already") {
			s.apply(t, tryUp(t, s))
			mutate(t, s)
		}
		a := tryUp(t, s)
		r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
		o := s.o
		r.Shuffle(len(o.Containers), func(i, j int) { o.Containers[i], o.Containers[j] = o.Containers[j], o.Containers[i] })
		r.Shuffle(len(o.Networks), func(i, j int) { o.Networks[i], o.Networks[j] = o.Networks[j], o.Networks[i] })
		r.Shuffle(len(o.Volumes), func(i, j int) { o.Volumes[i], o.Volumes[j] = o.Volumes[j], o.Volumes[i] })
		r.Shuffle(len(o.Overlays), func(i, j int) { o.Overlays[i], o.Overlays[j] = o.Overlays[j], o.Overlays[i] })
		r.Shuffle(len(o.Endpoints), func(i, j int) { o.Endpoints[i], o.Endpoints[j] = o.Endpoints[j], o.Endpoints[i] })
		r.Shuffle(len(s.p.Services), func(i, j int) { s.p.Services[i], s.p.Services[j] = s.p.Services[j], s.p.Services[i] })
		r.Shuffle(len(s.p.Networks), func(i, j int) { s.p.Networks[i], s.p.Networks[j] = s.p.Networks[j], s.p.Networks[i] })
		b := tryUp(t, s)
		if diff := cmp.Diff(a.String(), b.String()); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(a.Change, b.Change, addresses()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestDownLeavesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWorld(t)
		s.apply(t, tryUp(t, s))
		p := s.p
		if rapid.Bool().Draw(t, "without the file") {
			p = nil
		}
		plan := Down("app", p, s.o, DownOptions{Volumes: true})
		someSteps(t, s, plan)
		s.apply(t, Down("app", p, s.o, DownOptions{Volumes: true}))
		o := s.o
		if n := len(o.Containers) + len(o.Networks) + len(o.Volumes) + len(o.Recorded) + len(o.Endpoints) + len(o.Overlays) + len(o.Pins); n > 0 {
			t.Fatalf("%d things are left: %+v\n%s", n, o, plan)
		}
		if p := Down("app", p, s.o, DownOptions{Volumes: true}); !p.Empty() {
			t.Fatalf("a second down:\n%s", p)
		}
	})
}

// addresses lets go-cmp compare addresses and prefixes, which have no exported fields.
func addresses() cmp.Option {
	return cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
}

func (s *scene) clone() *scene {
	c := *s
	o := *s.o
	c.o = &o
	o.Containers = slices.Clone(o.Containers)
	for i := range o.Containers {
		o.Containers[i].Networks = cloneMap(o.Containers[i].Networks)
	}
	o.Networks, o.Volumes = slices.Clone(o.Networks), slices.Clone(o.Volumes)
	o.Overlays, o.Endpoints = slices.Clone(o.Overlays), slices.Clone(o.Endpoints)
	o.Recorded, o.Pins = cloneMap(o.Recorded), cloneMap(o.Pins)
	o.Images = cloneMap(o.Images)
	for h := range o.Images {
		o.Images[h] = cloneMap(o.Images[h])
	}
	return &c
}

func cloneMap[K ~string | placement.Task, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// summary is what a user sees of the result: tasks with host, state, configuration, addresses and volumes.
func (s *scene) summary() []string {
	var all []string
	for i := range s.o.Containers {
		c := &s.o.Containers[i]
		all = append(all, fmt.Sprintf("%s %s@%s %s %s %v %d mounts", c.Name, c.Task, c.Host, c.State, c.ConfigHash, c.Networks, len(c.Mounts)))
	}
	for _, n := range s.o.Networks {
		all = append(all, "network "+n.Name+"@"+n.Host+" "+n.ConfigHash)
	}
	for _, v := range s.o.Volumes {
		all = append(all, "volume "+v.Name+"@"+v.Host+" "+v.ConfigHash)
	}
	for t, r := range s.o.Recorded {
		all = append(all, fmt.Sprintf("record %s %v", t, r))
	}
	for _, e := range s.o.Endpoints {
		all = append(all, fmt.Sprintf("endpoint %s %s %s %s", e.Network, e.Container, e.Host, e.IP))
	}
	slices.Sort(all)
	return all
}

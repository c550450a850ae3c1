package scheduler

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"berth/placement"
)

// drawWide is drawWorld with what few projects have: rules about what is beside a task, other strategies, memory, names and
// addresses of one's own, jobs, paths of the host, volumes filled from a folder, ports on some address.
func drawWide(t *rapid.T) *scene {
	s := drawWorld(t)
	maybe := func(name string, one int) bool { return rapid.IntRange(0, one).Draw(t, name) == 0 }
	network(placement.NetworkSpec{Key: "own", Name: "app_own", ConfigHash: "1", Subnets: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24")}})(s)
	for i, v := range s.p.Services {
		if maybe("memory", 3) {
			v.Reservation.Memory = int64(rapid.IntRange(1, 5).Draw(t, "GiB")) << 30
		}
		if maybe("random", 5) {
			v.Strategy, v.Seed = placement.Random, rapid.Uint64().Draw(t, "seed")
		}
		if maybe("company", 3) {
			rule := fmt.Sprintf("service %s s%d", rapid.SampledFrom([]string{"==", "!="}).Draw(t, "op"), rapid.IntRange(0, len(s.p.Services)-1).Draw(t, "other"))
			if maybe("soft", 1) {
				rule += " ~"
			}
			all, err := placement.ParseConstraints(rule)
			if err != nil {
				t.Fatal(err)
			}
			v.Constraints = append(v.Constraints, all...)
		}
		if v.Mode == placement.Replicated && v.Replicas == 1 && maybe("named", 3) {
			v.ContainerName = "own-" + v.Name
		}
		if maybe("addressed", 5) {
			v.Networks = append(v.Networks, placement.Attachment{Network: "own", IPv4: fmt.Sprintf("10.1.0.%d", 10+i)})
		}
		if maybe("job", 6) {
			v.Job = true
		}
		if maybe("path", 6) {
			binds("/srv/data")(s, v)
		}
		for j := range v.Ports {
			v.Ports[j].HostIP = rapid.SampledFrom([]string{"", "0.0.0.0", "::", "127.0.0.1", "::1"}).Draw(t, "address")
		}
		if maybe("seeded", 4) {
			key := rapid.SampledFrom([]string{"conf", "state"}).Draw(t, "folder")
			mounts(key)(s, v)
		}
	}
	for _, v := range s.p.Volumes {
		if v.Key == "conf" || v.Key == "state" {
			v.Seed = &placement.Seed{Path: "/project/" + v.Key, Fixed: v.Key == "conf"}
		}
		v.ConfigHash = "1"
	}
	return s
}

// away takes a host out of sight, with all that is on it; the result brings it back.
func (s *scene) away(name string) func() {
	o := s.o
	s.lost(name)
	var containers []placement.Container
	var networks []placement.EngineNetwork
	var volumes []placement.EngineVolume
	images := o.Images[name]
	o.Images[name] = map[string]string{}
	o.Containers = slices.DeleteFunc(o.Containers, func(c placement.Container) bool {
		if c.Host == name {
			containers = append(containers, c)
		}
		return c.Host == name
	})
	o.Networks = slices.DeleteFunc(o.Networks, func(n placement.EngineNetwork) bool {
		if n.Host == name {
			networks = append(networks, n)
		}
		return n.Host == name
	})
	o.Volumes = slices.DeleteFunc(o.Volumes, func(v placement.EngineVolume) bool {
		if v.Host == name {
			volumes = append(volumes, v)
		}
		return v.Host == name
	})
	return func() {
		h := o.Host(name)
		h.State, h.Problem = placement.Ready, ""
		o.Images[name] = images
		o.Containers, o.Networks, o.Volumes = append(o.Containers, containers...), append(o.Networks, networks...), append(o.Volumes, volumes...)
	}
}

// drawUpOptions draws what is asked of an up.
func drawUpOptions(t *rapid.T, s *scene) UpOptions {
	o := UpOptions{
		Partial: true, RenewVolumes: map[string]bool{"app_v": true, "app_w": rapid.Bool().Draw(t, "renew w"), "app_state": true},
		NoRecreate: rapid.IntRange(0, 5).Draw(t, "no recreate") == 0, NoDeps: rapid.IntRange(0, 5).Draw(t, "no deps") == 0,
		NoStart: rapid.IntRange(0, 7).Draw(t, "no start") == 0, RemoveOrphans: rapid.Bool().Draw(t, "remove orphans"),
		Wait: rapid.Bool().Draw(t, "wait"),
	}
	if o.NoRecreate && slices.ContainsFunc(s.p.Services, func(v *placement.Service) bool { return len(v.SharesWith) > 0 }) {
		o.RenewVolumes = nil // what shares with a container that stays may have to move
	}
	if rapid.IntRange(0, 3).Draw(t, "some services") == 0 {
		for _, v := range s.p.Services {
			if rapid.Bool().Draw(t, "up "+v.Name) {
				o.Services = append(o.Services, v.Name)
			}
		}
	}
	return o
}

// wideUp plans; errors of the file end the case.
func wideUp(t *rapid.T, s *scene, o UpOptions) *Plan {
	p, err := Up(s.p, s.o, o)
	if err != nil {
		t.Skip(err.Error())
	}
	return p
}

func TestLivenessASecondUpHasNothingToDoWhateverIsAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWide(t)
		back := func() {}
		for range 3 {
			o := drawUpOptions(t, s)
			if s.o.Cluster && rapid.IntRange(0, 2).Draw(t, "a host goes") == 0 {
				back = s.away(s.o.Hosts[rapid.IntRange(0, len(s.o.Hosts)-1).Draw(t, "which host")].Name)
			}
			first := wideUp(t, s, o)
			t.Logf("%+v\n%s%v%v", o, first, first.Unplaced, first.Warnings)
			s.apply(t, first)
			checkSafe(t, s)
			second := wideUp(t, s, o)
			left := slices.ContainsFunc(first.Failures, func(f string) bool { return strings.Contains(f, " stays as it is ") })
			if !second.Empty() && len(first.Unplaced) == 0 && !left {
				t.Fatalf("%+v: first\n%s\nsecond\n%s", o, first, second)
			}
			back()
			back = func() {}
			mutate(t, s)
			for _, v := range s.p.Services {
				if v.Replicas > 1 {
					v.ContainerName = "" // else the file is refused
				}
			}
			if len(s.p.Services) > 1 && rapid.IntRange(0, 5).Draw(t, "drop a service") == 0 {
				s.dropService(rapid.IntRange(0, len(s.p.Services)-1).Draw(t, "which"))
			}
		}
	})
}

// dropService takes a service out of the file, if no other names it.
func (s *scene) dropService(i int) {
	name := s.p.Services[i].Name
	for _, v := range s.p.Services {
		if slices.Contains(v.SharesWith, name) || slices.ContainsFunc(v.DependsOn, func(d placement.Dependency) bool { return d.Service == name }) {
			return
		}
	}
	s.p.Services = slices.Delete(s.p.Services, i, i+1)
}

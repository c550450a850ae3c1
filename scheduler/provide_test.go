package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"berth/placement"
)

// providerOf is a service that a program provides; it depends on others that run.
func providerOf(name string, on ...string) option {
	return func(s *scene) {
		p := &placement.Provider{Name: name, Type: "cloud"}
		for _, d := range on {
			p.DependsOn = append(p.DependsOn, placement.Dependency{Service: d, Condition: placement.Started, Required: true})
		}
		s.p.Providers = append(s.p.Providers, p)
	}
}

// fed notes of a service that depends on a provider what its hash is without variables, as the loader does.
func fed() serviceOption {
	return func(_ *scene, v *placement.Service) { v.BareHash = v.ConfigHash }
}

// call is what a command does with the providers of a plan that has been carried out.
func (s *scene) call(plan *Plan, variables string) {
	for _, x := range plan.Steps {
		if x.Kind != Provide {
			continue
		}
		x.Provider.Provided = true
		for _, v := range s.p.Services {
			if slices.ContainsFunc(v.DependsOn, func(d placement.Dependency) bool { return d.Service == x.Name }) {
				v.ConfigHash += "+" + x.Name + "=" + variables
			}
		}
	}
}

// forget begins another command: its providers have not been called.
func (s *scene) forget() {
	for _, p := range s.p.Providers {
		p.Provided = false
	}
	for _, v := range s.p.Services {
		if v.BareHash != "" {
			v.ConfigHash = v.BareHash
		}
	}
}

func TestAProviderIsCalledAfterWhatItDependsOnAndBeforeItsDependents(t *testing.T) {
	s := world(service("app", dependsOn("cloud", placement.Started), fed()), service("base"), service("side"),
		providerOf("cloud", "base", "zone"), providerOf("zone"))
	plan := s.plan(t)
	golden(t, plan, `
		0  provide zone (provider cloud)
		1  create base.1 (new replica)
		2  create side.1 (new replica)
		3  start base.1 after 1
		4  provide cloud (provider cloud) after 0,3
		5  create app.1 (new replica) after 4
		6  start app.1 after 5
		7  start side.1 after 2`)
	golden(t, plan.Anew(), `
		0  provide zone (provider cloud)`)
	golden(t, s.plan(t, UpOptions{NoStart: true}), `
		0  provide zone (provider cloud)
		1  create base.1 (new replica)
		2  provide cloud (provider cloud) after 0,1
		3  create app.1 (new replica) after 2
		4  create side.1 (new replica)`)
	s.call(plan.Anew(), "a")
	golden(t, s.plan(t).Anew(), `
		0  create base.1 (new replica)
		1  start base.1 after 0
		2  provide cloud (provider cloud) after 1`)
}

func TestServicesOfTheCommandLineBringTheirProviders(t *testing.T) {
	s := world(service("app", dependsOn("cloud", placement.Started), fed()), service("side"), providerOf("cloud"), providerOf("other"))
	golden(t, s.plan(t, UpOptions{Services: []string{"app"}}), `
		0  provide cloud (provider cloud)
		1  create app.1 (new replica) after 0
		2  start app.1 after 1`)
	golden(t, s.plan(t, UpOptions{Services: []string{"other"}}), `
		0  provide other (provider cloud)`)
	golden(t, s.plan(t, UpOptions{Services: []string{"side"}}), `
		0  create side.1 (new replica)
		1  start side.1 after 0`)
	golden(t, s.plan(t, UpOptions{Services: []string{"app"}, NoDeps: true}), `
		0  create app.1 (new replica)
		1  start app.1 after 0
		warning: service app is made without the variables of provider service cloud, which is left out`)
}

func TestOtherVariablesReplaceDependentsAndUnknownOnesDoNot(t *testing.T) {
	s := world(service("app", dependsOn("cloud", placement.Started), fed()), service("side"), providerOf("cloud"))
	s.call(s.plan(t), "a")
	s.up(t)
	s.forget()
	golden(t, s.plan(t), `
		0  provide cloud (provider cloud)`)
	golden(t, s.plan(t, UpOptions{Services: []string{"app"}, NoDeps: true}), ``)
	s.call(s.plan(t), "a")
	golden(t, s.plan(t), ``)
	s.forget()
	s.call(s.plan(t), "b")
	golden(t, s.plan(t), `
		0  create app.1 as 000000000001_app-app-1 (configuration changed)
		1  stop app.1 (configuration changed) after 0
		2  remove app.1 (configuration changed) after 1
		3  rename app.1 to app-app-1 after 2
		4  start app.1 after 3`)
	s.forget()
	s.p.Service("app").ConfigHash, s.p.Service("app").BareHash = "2", "2"
	if plan := s.plan(t); len(plan.Steps) != 6 || plan.Steps[1].Why != "configuration changed" {
		t.Errorf("the file changed, and the plan is\n%s", plan)
	}
}

func TestDownReleasesAProviderBetweenItsDependentsAndItsDependencies(t *testing.T) {
	s := world(service("app", dependsOn("cloud", placement.Started)), service("base"), providerOf("cloud", "base", "zone"), providerOf("zone"))
	s.call(s.plan(t), "a")
	s.up(t)
	golden(t, Down("app", s.p, s.o, DownOptions{}), `
		0  stop app.1
		1  remove app.1 after 0
		2  release cloud (provider cloud) after 1
		3  release zone (provider cloud) after 2
		4  stop base.1 after 2
		5  remove base.1 after 4`)
	golden(t, Down("app", s.p, s.o, DownOptions{Services: []string{"cloud"}}), `
		0  release cloud (provider cloud)`)
	golden(t, Down("app", nil, s.o, DownOptions{Services: []string{"base"}}), `
		0  stop base.1
		1  remove base.1 after 0`)
}

func TestStopHaltsAProviderThatCanBeHalted(t *testing.T) {
	s := world(service("app", dependsOn("cloud", placement.Started)), service("base"), providerOf("cloud", "base", "zone"), providerOf("zone"))
	s.call(s.plan(t), "a")
	s.up(t)
	stop := func(services ...string) *Plan { return NewPresent("app", s.p, s.o, services).Stop(nil, "") }
	golden(t, stop("cloud"), ``)
	for _, p := range s.p.Providers {
		p.Stops = true
	}
	golden(t, stop(), `
		0  stop app.1
		1  halt cloud (provider cloud) after 0
		2  stop base.1 after 1
		3  halt zone (provider cloud) after 1`)
	golden(t, stop("cloud"), `
		0  halt cloud (provider cloud)`)
	golden(t, stop("app"), `
		0  stop app.1`)
}

func TestARebalanceCallsTheProvidersOfWhatMoves(t *testing.T) {
	s := world(host("a"), host("b"), service("app", replicas(2), dependsOn("cloud", placement.Started), fed()),
		service("side"), providerOf("cloud"), providerOf("other"))
	s.call(s.plan(t), "a")
	s.up(t)
	s.forget()
	rebalance := func() *Plan {
		plan, err := Rebalance(s.p, s.o, RebalanceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	if plan := rebalance(); !plan.Empty() {
		t.Errorf("nothing moves, and the plan is\n%s", plan)
	}
	s.o.Host("a").Availability = placement.Drain
	golden(t, rebalance().Anew(), `
		0  provide cloud (provider cloud)`)
}

func TestAProviderIsCalledSoonerWhereWhatItDependsOnTakesOverAPort(t *testing.T) {
	s := world(service("app", port(80), dependsOn("cloud", placement.Started), fed()), service("base"), providerOf("cloud", "base"))
	s.call(s.plan(t), "a")
	s.up(t)
	s.forget()
	app, base := s.p.Service("app"), s.p.Service("base")
	app.ConfigHash, app.BareHash, base.ConfigHash = "2", "2", "2"
	app.Ports, base.Ports = nil, app.Ports
	plan := s.plan(t)
	golden(t, plan.Anew(), `
		0  provide cloud (provider cloud)`)
	if len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "called before what it depends on is up") {
		t.Errorf("warnings %q", plan.Warnings)
	}
	s.call(plan.Anew(), "a")
	s.up(t)
}

// drawProviders adds providers to a world, which depend on the first services, and which the later ones depend on.
func drawProviders(t *rapid.T, s *scene) {
	for i := range rapid.IntRange(1, 3).Draw(t, "providers") {
		var on []string
		for _, v := range s.p.Services[:min(2, len(s.p.Services))] {
			if rapid.IntRange(0, 2).Draw(t, "provider on "+v.Name) == 0 {
				on = append(on, v.Name)
			}
		}
		for _, p := range s.p.Providers {
			if rapid.Bool().Draw(t, "provider on "+p.Name) {
				on = append(on, p.Name)
			}
		}
		name := fmt.Sprintf("p%d", i)
		providerOf(name, on...)(s)
		for _, v := range s.p.Services[min(2, len(s.p.Services)):] {
			if rapid.Bool().Draw(t, v.Name+" depends on it") {
				dependsOn(name, placement.Started)(s, v)
			}
		}
	}
	s.bare()
}

// bare notes the file's hashes of those that depend on a provider.
func (s *scene) bare() {
	for _, v := range s.p.Services {
		if slices.ContainsFunc(v.DependsOn, func(d placement.Dependency) bool { return s.p.Provider(d.Service) != nil }) {
			v.BareHash = v.ConfigHash
		}
	}
}

// staged carries out an up as the command does: what comes first, the calls, and again until all is known.
func staged(t *rapid.T, s *scene, variables string) {
	s.forget()
	for range len(s.p.Providers) + 1 {
		plan := tryUp(t, s)
		first := plan.Anew()
		if first.Empty() {
			s.apply(t, plan)
			return
		}
		for i, x := range first.Steps {
			if from := unprovided(s.p, orNone(x.Service)); x.Kind == Create && from != "" {
				t.Fatalf("step %d makes %s before %s is called:\n%s", i, x.Task, from, first)
			}
		}
		s.apply(t, first)
		s.call(first, variables)
	}
	t.Fatalf("providers are still to call:\n%s", tryUp(t, s))
}

func orNone(s *placement.Service) *placement.Service {
	if s == nil {
		return &placement.Service{}
	}
	return s
}

func TestSafetyNothingIsMadeBeforeItsProviderIsCalledAndItEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWorld(t)
		drawProviders(t, s)
		for i := range 3 {
			staged(t, s, fmt.Sprint(i))
			checkSafe(t, s)
			staged(t, s, fmt.Sprint(i))
			s.forget()
			if again := tryUp(t, s); len(again.Unplaced) == 0 && slices.ContainsFunc(again.Steps, func(x Step) bool { return x.Kind != Provide }) {
				t.Fatalf("the same variables, and something to do:\n%s", again)
			}
			mutate(t, s)
			s.bare()
		}
	})
}

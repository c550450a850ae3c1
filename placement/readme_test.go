package placement

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// block is a fenced example of README.md.
type block struct {
	kind  string // of the fence: rules, "yaml hosts" …
	lines []string
	line  int // in README.md, of the first
}

func readmeBlocks(t *testing.T) []block {
	t.Helper()
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	var open *block
	for i, line := range strings.Split(string(content), "\n") {
		kind, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{kind: kind, line: i + 2}
		case fence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		case strings.HasPrefix(line, "    "):
			t.Errorf("README.md:%d: an example that no test runs; put it in a fence", i+1)
		}
	}
	return all
}

// readmeHost is a host of the examples and what is on it.
type readmeHost struct {
	IP, ID, Hostname, Platform, Engine, Kernel, System, Storage string
	Labels                                                      map[string]string
	EngineLabels                                                map[string]string `yaml:"engine labels"`
	Services, Images, Volumes                                   []string
}

// readmeWorld is the observation of the examples' hosts, and the services on each.
func readmeWorld(t *testing.T, b block) (o *Observation, services map[string][]string) {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(strings.Join(b.lines, "\n")), &doc); err != nil {
		t.Fatal(err)
	}
	o, services = &Observation{Cluster: true, ImageNames: map[string][]string{}}, map[string][]string{}
	for i := 0; i < len(doc.Content[0].Content); i += 2 {
		name := doc.Content[0].Content[i].Value
		var h readmeHost
		if err := doc.Content[0].Content[i+1].Decode(&h); err != nil {
			t.Fatal(err)
		}
		system, arch, _ := strings.Cut(h.Platform, "/")
		o.Hosts = append(o.Hosts, Host{
			Name: name, State: Ready, IP: h.IP, EngineID: h.ID, Hostname: h.Hostname, OS: system, Arch: arch, Version: h.Engine,
			Kernel: h.Kernel, System: h.System, StorageDriver: h.Storage, Labels: h.Labels, EngineLabels: h.EngineLabels,
		})
		o.ImageNames[name], services[name] = h.Images, h.Services
		for _, v := range h.Volumes {
			o.Volumes = append(o.Volumes, EngineVolume{Host: name, Name: v})
		}
	}
	return o, services
}

var (
	exampleArrow = regexp.MustCompile(`^(.*?) +->(.*)$`)
	exampleError = regexp.MustCompile(`^(.*?) +error(?: at (\d+))?: (.*)$`)
)

// example cuts a line into what is written and what comes of it, or the error and its character.
func (b block) example(t *testing.T, i int) (text, result, problem, at string) {
	t.Helper()
	if m := exampleArrow.FindStringSubmatch(b.lines[i]); m != nil {
		return m[1], strings.TrimSpace(m[2]), "", ""
	}
	if m := exampleError.FindStringSubmatch(b.lines[i]); m != nil {
		return m[1], "", m[3], m[2]
	}
	t.Fatalf("README.md:%d: %q is no example", b.line+i, b.lines[i])
	return "", "", "", ""
}

// wrong reports an error that is not the one that an example has.
func wrong(err error, problem, at string) bool {
	var p *ParseError
	if errors.As(err, &p) {
		return !strings.HasPrefix(p.Problem, problem) || fmt.Sprint(p.column()+1) != at
	}
	return err == nil || err.Error() != problem
}

func TestTheExamplesOfTheReadmeHold(t *testing.T) {
	var o *Observation
	var services map[string][]string
	ran := map[string]int{}
	for _, b := range readmeBlocks(t) {
		ran[b.kind]++
		if b.kind == "yaml hosts" {
			o, services = readmeWorld(t, b)
		}
		for i := range b.lines {
			var got string
			var err error
			switch b.kind {
			case "yaml hosts", "yaml compose", "yaml inventory", "classic": // the last three are the loader's (readme_test.go)
				continue
			case "rules":
				text, _, _, _ := b.example(t, i)
				got, err = admitted(text, o, services)
			case "spread":
				text, _, _, _ := b.example(t, i)
				got, err = spreads(text)
			case "strategy":
				text, _, _, _ := b.example(t, i)
				got, err = strategyOf(text)
			default:
				t.Fatalf("README.md:%d: nobody knows how to run an example of kind %q", b.line, b.kind)
			}
			_, want, problem, at := b.example(t, i)
			if problem == "" && (err != nil || got != want) || problem != "" && wrong(err, problem, at) {
				t.Errorf("README.md:%d: %s: got %q, %v", b.line+i, b.lines[i], got, err)
			}
		}
	}
	for _, kind := range []string{"rules", "spread", "strategy"} {
		if ran[kind] == 0 {
			t.Errorf("no example of kind %s was found", kind)
		}
	}
}

// admitted lists the hosts where rules hold: those about hosts and services by themselves, those about images and volumes
// by what the project's needs come to.
func admitted(text string, o *Observation, services map[string][]string) (string, error) {
	rules, err := ParseConstraints(text)
	if err != nil {
		return "", err
	}
	s := &Service{Name: "example", Image: "example", Constraints: rules}
	needs := NewNeeds(&Project{Name: "shop", Services: []*Service{s}}, o)
	var hosts []string
	for i := range o.Hosts {
		holds := true
		for _, need := range needs.Of(s) {
			holds = holds && need.Hosts[i]
		}
		for _, need := range needs.Soft(s) {
			holds = holds && need.Hosts[i]
		}
		for _, r := range rules {
			switch r.Kind() {
			case AboutHost:
				holds = holds && r.Match(&o.Hosts[i])
			case AboutService:
				found := false
				for _, name := range services[o.Hosts[i].Name] {
					found = found || r.MatchValue(name)
				}
				holds = holds && found != r.Negated()
			}
		}
		if holds {
			hosts = append(hosts, o.Hosts[i].Name)
		}
	}
	result := strings.Join(hosts, " ")
	if last := rules[len(rules)-1]; last.Soft {
		result += fmt.Sprintf(", soft %d", last.Weight)
	}
	return result, nil
}

func spreads(text string) (string, error) {
	all, err := ParsePreferences(text)
	var levels []string
	for _, p := range all {
		how := " evenly"
		if shares, ok := strings.CutPrefix(p.String(), p.Spread+" ("); ok {
			how = " by " + strings.TrimSuffix(shares, ")")
		}
		levels = append(levels, p.Spread+how)
	}
	return strings.Join(levels, ", then "), err
}

func strategyOf(text string) (string, error) {
	strategy, seed, err := ParseStrategy(text)
	return map[Strategy]string{
		Spread: "the default: few tasks of the service on each host", Binpack: "few hosts", Random: fmt.Sprintf("any host, by seed %d", seed),
	}[strategy], err
}

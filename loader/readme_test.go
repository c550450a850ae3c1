package loader

import (
	"os"
	"strings"
	"testing"

	"berth/placement"
)

// placementExamples are the fenced blocks of one kind in placement's README; its own test runs the others.
func placementExamples(t *testing.T, kind string) []string {
	t.Helper()
	content, err := os.ReadFile("../placement/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i, part := range strings.Split(string(content), "```") {
		if text, ok := strings.CutPrefix(part, kind+"\n"); ok && i%2 == 1 {
			all = append(all, text)
		}
	}
	if len(all) == 0 {
		t.Fatalf("placement/README.md has no example of kind %s", kind)
	}
	return all
}

func TestTheComposeExamplesOfThePlacementReadmeLoad(t *testing.T) {
	for _, text := range placementExamples(t, "yaml compose") {
		p := newWorld(t, "-- compose.yaml --\n"+text, cluster).mustLoad()
		if len(p.Warnings) > 0 {
			t.Errorf("warnings: %q", p.Warnings)
		}
		web, cache := p.Service("web"), p.Service("cache")
		if got, want := rulesOf(web), "service == cache ~5; service != web; node.labels.type == worker; node.labels.zone != c"; got != want {
			t.Errorf("web: got %s, want %s", got, want)
		}
		if got, want := rulesOf(cache), "node.labels.type == worker; engine.version >= 24"; got != want {
			t.Errorf("cache: got %s, want %s", got, want)
		}
		if len(web.Preferences) != 2 || web.Preferences[0].String() != "node.labels.zone (a: 2, b: 1)" || len(cache.Preferences) != 1 {
			t.Errorf("preferences: %v, %v", web.Preferences, cache.Preferences)
		}
		if web.Strategy != placement.Spread || cache.Strategy != placement.Binpack || cache.MaxPerHost != 2 {
			t.Errorf("strategies: %s, %s; %d a host", web.Strategy, cache.Strategy, cache.MaxPerHost)
		}
	}
}

func TestTheInventoryExamplesOfThePlacementReadmeLoad(t *testing.T) {
	for _, text := range placementExamples(t, "yaml inventory") {
		i, err := LoadInventory(inventoryFile(t, text))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range i.Hosts {
			got = append(got, h.Name+" "+string(h.Availability)+" "+h.Resources.String())
		}
		if want := "web1  \nweb2 drain \ndb1 pause gpu=2,ssd=4"; strings.Join(got, "\n") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTheClassicExamplesOfThePlacementReadmeHold(t *testing.T) {
	for _, text := range placementExamples(t, "classic") {
		for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
			rule, want, ok := strings.Cut(line, "->")
			wantError := ""
			if !ok {
				if rule, wantError, ok = strings.Cut(line, " error: "); !ok {
					t.Fatalf("%q is no example", line)
				}
			}
			file := "environment: ['" + strings.TrimSpace(rule) + "']"
			w := newWorld(t, web(file)+"  cache: {image: redis, labels: {tier: front}}\n", cluster)
			p, err := w.load()
			if wantError != "" {
				if err == nil || !strings.Contains(err.Error(), wantError) {
					t.Errorf("%s: got %v", line, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			got := rulesOf(p.Service("web"))
			if len(p.Warnings) > 0 {
				_, why, _ := strings.Cut(p.Warnings[0], "is not honoured: ")
				got = "warning: " + why
			}
			if want = strings.TrimSpace(want); got != want && !(strings.HasPrefix(want, "warning: ") && strings.HasPrefix(got, want)) {
				t.Errorf("%s: got %s", line, got)
			}
		}
	}
}

package placement

import (
	"strings"
	"testing"
)

// besideScene is three hosts: a has redis:7 and the project's volume data, b has an image of another registry, an old tag
// of the service's own image, and a volume of somebody else; c has nothing.
func besideScene(t *testing.T, rules string, mode Mode) (*Project, *Observation, *Service) {
	t.Helper()
	all, err := ParseConstraints(rules)
	if err != nil {
		t.Fatal(err)
	}
	web := &Service{Name: "web", Image: "app:2", Constraints: all, Mode: mode}
	p := &Project{Name: "shop", Services: []*Service{web, {Name: "db", Image: "postgres", Mounts: []Mount{{Type: "volume", Source: "data"}}}},
		Volumes: []*VolumeSpec{{Key: "data", Name: "shop_data"}, {Key: "logs", Name: "shop_logs"}, {Key: "ext", Name: "archive", External: true}}}
	o := &Observation{
		Cluster: true,
		Hosts:   []Host{ready("a", 1000), ready("b", 1000), ready("c", 1000)},
		Volumes: []EngineVolume{
			{Host: "a", Name: "shop_data", Project: "shop", Key: "data"}, {Host: "b", Name: "archive"}, {Host: "b", Name: "other_cache", Project: "other", Key: "data"},
		},
		ImageNames: map[string][]string{
			"a": {"app:2", "redis:7", "sha256:77"}, "b": {"app:1", "lan:5000/team/tool:1.2", "tool@sha256:ab"},
		},
	}
	return p, o, web
}

// meets lists the hosts that all needs admit.
func meets(o *Observation, needs ...[]bool) string {
	var all []string
	for i := range o.Hosts {
		ok := true
		for _, n := range needs {
			ok = ok && n[i]
		}
		if ok {
			all = append(all, o.Hosts[i].Name)
		}
	}
	return strings.Join(all, " ")
}

func TestConstraintsAboutImagesAndVolumesChooseHosts(t *testing.T) {
	for rules, want := range map[string]string{
		"image == redis":              "a",
		"image == redis:7":            "a",
		"image == redis:6":            "",
		"image == r*:?":               "a",
		"image == sha256:77":          "a",
		"image == lan:5000/team/tool": "b",
		"image == tool":               "b",
		"image =~ ^lan:":              "b",
		"image != redis":              "b c",
		"image not in (redis, tool)":  "c",
		"image != app:1":              "a c",
		"image != app:2":              "a b c", // its own: it comes with it
		"image != app":                "a c",   // but another tag of it does not
		"image in (redis, tool)":      "a b",

		"volume == data":                  "a", // by its key
		"volume == shop_data":             "a", // by the engine's name
		"volume != data":                  "b c",
		"volume == archive":               "b",
		"volume == ext":                   "b",
		"volume == other_cache":           "b",
		"volume in (data, archive)":       "a b",
		"volume =~ _":                     "a b",
		"volume == nothing":               "",
		"volume != nothing":               "a b c",
		"volume == *":                     "a b",
		"image == redis && volume == a*":  "",
		"volume != data && image != tool": "c",
	} {
		p, o, web := besideScene(t, rules, Replicated)
		var needs [][]bool
		for _, n := range NewNeeds(p, o).Of(web) {
			needs = append(needs, n.Hosts)
		}
		if got := meets(o, needs...); got != want {
			t.Errorf("%s: got %q, want %q", rules, got, want)
		}
		o.Cluster = false
		if needs := NewNeeds(p, o).Of(web); len(needs) > 0 {
			t.Errorf("%s: one host without a cluster needs %v", rules, needs)
		}
	}
}

func TestNeedsOfConstraintsSayWhatIsMissing(t *testing.T) {
	for rules, want := range map[string]string{
		"image == redis*":           "no image redis* is here, constraint wants one",
		"image !~ ^redis":           "an image matching /^redis/ is here, constraint wants none",
		"volume in (archive, logs)": "no volume of (archive, logs) is here, constraint wants one",
		"volume != archive":         "a volume archive is here, constraint wants none",
		"volume == data":            "volume shop_data has its data on a",
	} {
		p, o, web := besideScene(t, rules, Replicated)
		needs := NewNeeds(p, o).Of(web)
		if len(needs) != 1 || needs[0].Text != want {
			t.Errorf("%s: got %+v, want %s", rules, needs, want)
		}
	}
}

func TestSoftConstraintsAboutImagesAndVolumesAreWishes(t *testing.T) {
	p, o, web := besideScene(t, "image == redis ~5 && volume != archive ~ && node.labels.x == y ~3 && service == db ~4", Replicated)
	n := NewNeeds(p, o)
	if needs := n.Of(web); len(needs) != 0 {
		t.Errorf("soft constraints are needs: %+v", needs)
	}
	soft := n.Soft(web)
	if len(soft) != 2 || soft[0].Weight != 5 || soft[1].Weight != 1 || meets(o, soft[0].Hosts) != "a" || meets(o, soft[1].Hosts) != "a c" {
		t.Errorf("got %+v", soft)
	}
	if len(n.Soft(p.Services[1])) != 0 {
		t.Error("a service without wishes has some")
	}
}

// A volume that is nowhere yet ties the services that follow it together with those that mount it.
func TestAConstraintOnAVolumeThatIsNowhereYetFollowsIt(t *testing.T) {
	p, o, web := besideScene(t, "volume == data && volume != logs", Replicated)
	o.Volumes = nil
	n := NewNeeds(p, o)
	if free := n.Free(web); len(free) != 1 || free[0].Key != "data" {
		t.Fatalf("free: %+v", free)
	}
	if got := meets(o, n.Of(web)[0].Hosts); got != "a b c" {
		t.Errorf("before: %s", got)
	}
	n.Pin("shop_data", "c")
	n.Pin("shop_logs", "b")
	var needs [][]bool
	for _, need := range n.Of(web) {
		needs = append(needs, need.Hosts)
	}
	if got := meets(o, needs...); got != "c" || len(needs) != 2 {
		t.Errorf("pinned: %q of %d needs", got, len(needs))
	}
	if sticky := n.Sticky(web); len(sticky) != 1 || sticky[0].Key != "data" {
		t.Errorf("sticky: %+v", sticky)
	}

	p, o, web = besideScene(t, "volume == data", Global)
	if needs := NewNeeds(p, o).Of(web); len(needs) != 1 || meets(o, needs[0].Hosts) != "a" {
		t.Errorf("global: %+v", needs)
	}
}

func TestWhoKeepsAwayFromAThingKeepsAwayFromWhoBringsIt(t *testing.T) {
	for rules, want := range map[string]string{
		"volume != data":                   "service not in (db)",
		"volume not in (logs, shop_d*) ~7": "service not in (db) ~7",
		"volume == data":                   "",
		"volume != logs":                   "",
		"image != postgres":                "service not in (db)",
		"image != post*:latest":            "service not in (db)",
		"image != app":                     "",
		"image !~ .":                       "service not in (db)",
		"service != db":                    "",
		"node.name != db":                  "",
	} {
		p, _, web := besideScene(t, rules, Replicated)
		p.KeepApart()
		if got := join(web.Constraints[1:]); got != want || len(p.Services[1].Constraints) != 0 {
			t.Errorf("%s: got %q, want %q", rules, got, want)
		}
	}
}

func TestAProjectSaysWhatItsConstraintsAreAbout(t *testing.T) {
	for rules, want := range map[string][2]bool{
		"node.name == a && service == db": {false, false},
		"image == x ~":                    {true, false},
		"volume == arch*":                 {false, true},
		"volume != other":                 {false, false},
	} {
		p, _, _ := besideScene(t, rules, Replicated)
		if got := [2]bool{p.NamesImages(), p.NamesVolume("archive")}; got != want {
			t.Errorf("%s: got %v, want %v", rules, got, want)
		}
	}
}

package placement

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func parsed(t *testing.T, in string) Constraint {
	t.Helper()
	c, err := ParseConstraint(in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConstraintsMatchHosts(t *testing.T) {
	h := &Host{
		Name: "web1", EngineID: "ABCD", Hostname: "web1.lan", IP: "10.0.0.7", OS: "linux", Arch: "amd64", Version: "24.0.7",
		Kernel: "6.1.0-13-amd64", System: "Debian GNU/Linux 12 (bookworm)", StorageDriver: "overlay2",
		Labels:       map[string]string{"type": "Worker", "rank": "10", "memory": "32g", "both": "ours", "path": "/srv/x", "star": "a*"},
		EngineLabels: map[string]string{"disk": "ssd", "both": "theirs"},
	}
	for in, want := range map[string]bool{
		"node.id == abcd":              true,
		"node.name == web1":            true,
		"node.hostname == WEB1.LAN":    true,
		"node.hostname == web1":        false,
		"node.role == worker":          true,
		"node.role == manager":         false,
		"node.platform.os == linux":    true,
		"node.platform.arch == x86_64": true,
		"node.platform.arch == amd64":  true,
		"node.platform.arch != arm64":  true,
		"NODE.LABELS.type == worker":   true,
		"node.labels.TYPE == worker":   false,
		"node.labels.none != x":        true,
		"node.labels.none == x":        false,
		`node.labels.none == ""`:       true,
		"engine.labels.disk == ssd":    true,
		"engine.labels.disk != ssd":    false,
		"engine.labels.type == worker": false,

		"node == web1":      true,
		"node == web1.lan":  true,
		"node in (abcd, x)": true,
		"node != web2":      true,
		"node != abcd":      false,
		"node !~ lan$":      false,

		"labels.type == worker":                      true,
		"labels.disk == ssd":                         true,
		"labels.both == ours":                        true,
		"labels.both == theirs":                      false,
		`labels.none == ""`:                          true,
		"engine.kernelversion >= 5.10":               true,
		"engine.operatingsystem == Debian*":          true,
		"engine.storagedriver in (overlay2, btrfs)":  true,
		"node.platform.arch in (arm64, x86_64)":      true,
		"node.platform.arch not in (arm64, aarch64)": true,
		"node.platform.arch =~ ^amd":                 true,

		"node.ip == 10.0.0.7":                       true,
		"node.ip == 10.0.0.0/8":                     true,
		"node.ip != 10.0.0.0/8":                     false,
		"node.ip != 192.168.0.1":                    true,
		"node.ip in (192.168.0.0/16, 10.0.0.0/24)":  true,
		"node.ip not in (192.168.0.0/16, 10.1.0.1)": true,
		"node.ip =~ 7$":                             true,

		"node.name == web?":           true,
		"node.name == WEB*":           true,
		"node.name == *":              true,
		"node.name == web1?":          false,
		"node.name == eb*":            false,
		"node.name != web*":           false,
		`node.name == "web?"`:         false,
		"labels.star == a*":           true,
		`labels.star == "a*"`:         true,
		`labels.star == "a?"`:         false,
		"labels.path == /srv/x":       true,
		"labels.path == /srv/":        true, // an expression, found in /srv/x
		`labels.path == "/srv/"`:      false,
		"labels.path == /rv.x/":       true,
		"labels.path =~ /srv/":        true,
		"node.name =~ eb":             true,
		"node.name =~ ^eb":            false,
		"node.name =~ WEB":            false,
		"node.name =~ (?i)WEB":        true,
		"node.name !~ ^db":            true,
		"node.name !~ web":            false,
		"node.name in (db1, web?)":    true,
		"node.name in (db1, db2)":     false,
		"node.name not in (db1, db2)": true,
		"node.name not in (db*, w*)":  false,
		`node.labels.none in ("", a)`: true,

		"labels.rank >= 10":        true,
		"labels.rank > 9.99":       true,
		"labels.rank > 10.0":       false,
		"labels.rank <= 10":        true,
		"labels.rank < 9":          false,
		"labels.rank > -1":         true,
		"labels.memory >= 32768m":  true,
		"labels.memory > 32GiB":    false,
		"labels.memory < 0.1t":     true,
		"labels.memory > 1":        false, // a size is no number
		"labels.rank > 1k":         false, // and the other way round
		"labels.type > 1":          false,
		"labels.type <= 1":         false,
		"labels.none < 1":          false,
		"engine.version >= 24":     true,
		"engine.version >= 24.0.7": true,
		"engine.version > 24.0.7":  false,
		"engine.version < 24.0.10": true,
		"engine.version < 9":       false,
		"engine.version == 24.*":   true,
	} {
		if got := parsed(t, in).Match(h); got != want {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
	for _, c := range []Constraint{
		{Key: "node.nonsense", Op: NotEqual, Value: "x"}, {Key: "node.id", Op: "~=", Value: "x"},
		{Key: "service", Op: NotEqual, Value: "x"}, {Key: "node.id", Op: NotIn, Value: "x"}, {Key: "node.id", Op: NotEqual, Value: "a=b"},
	} {
		if c.Match(h) {
			t.Errorf("%q, which is not understood or not about hosts, holds", c)
		}
	}
	if !(Constraint{Key: "node.platform.arch", Op: Equal, Value: "aarch64"}).Match(&Host{Arch: "arm64"}) {
		t.Error("aarch64 is not arm64")
	}
}

func TestVersionsAreOrdered(t *testing.T) {
	ascending := []string{"0.9", "1", "17.03.2-ce", "17.4", "20.10.0-dev", "20.10.0-alpha", "20.10.0-beta2", "20.10.0-rc1", "20.10.0-rc.2",
		"20.10.0-rc10", "20.10.0", "20.10.0.1", "20.10.24+dfsg1", "v24", "24.0.7-13-amd64", "25.0.0"}
	for i, a := range ascending {
		for j, b := range ascending {
			va, ok := readVersion(a)
			got, ok2 := va.compare(b)
			if want := min(max(j-i, -1), 1); !ok || !ok2 || got != want {
				t.Errorf("%s against %s: got %d, want %d", b, a, got, want)
			}
		}
	}
	for _, same := range [][2]string{{"24", "24.0.0"}, {"v24.0", "24"}, {"24.0.7+b1", "24.0.7-ce"}, {"1.02", "1.2"}} {
		v, _ := readVersion(same[0])
		if sign, ok := v.compare(same[1]); sign != 0 || !ok {
			t.Errorf("%s is not %s", same[0], same[1])
		}
	}
	for _, none := range []string{"", "v", "latest", "1.", ".1", "1..2", "-1"} {
		if v, ok := readVersion(none); ok {
			t.Errorf("%q is version %v", none, v)
		}
	}
}

func TestConstraintsAreAboutSomething(t *testing.T) {
	for in, want := range map[string]struct {
		kind              Kind
		negated, identity bool
	}{
		"node.labels.a == b":     {AboutHost, false, false},
		"node == b":              {AboutHost, false, true},
		"Node.Name != b":         {AboutHost, true, true},
		"node.id in (a)":         {AboutHost, false, true},
		"node.hostname !~ a":     {AboutHost, true, true},
		"node.ip not in (::1)":   {AboutHost, true, true},
		"engine.version < 24":    {AboutHost, false, false},
		"service == a":           {AboutService, false, false},
		"Service !~ a":           {AboutService, true, false},
		"image not in (a)":       {AboutImage, true, false},
		"volume != a ~3":         {AboutVolume, true, false},
		"node.labels.service==a": {AboutHost, false, false},
	} {
		c := parsed(t, in)
		if c.Kind() != want.kind || c.Negated() != want.negated || c.Identity() != want.identity {
			t.Errorf("%q: %v, negated %v, identity %v", in, c.Kind(), c.Negated(), c.Identity())
		}
	}
}

// MatchValue does not negate: the caller does.
func TestMatchValueComparesOneValue(t *testing.T) {
	for in, want := range map[string]string{
		"service == web*":        "web web-api",
		"service != web*":        "web web-api",
		"service =~ a":           "cache web-api",
		"service !~ a":           "cache web-api",
		"service in (db, WEB)":   "db web",
		"service not in (db, x)": "db",
		`service == "web*"`:      "",
	} {
		var got []string
		for _, name := range []string{"cache", "db", "web", "web-api"} {
			if parsed(t, in).MatchValue(name) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: got %v, want %s", in, got, want)
		}
	}
	if (Constraint{Key: "service", Op: "is", Value: "a"}).MatchValue("a") {
		t.Error("a constraint that is not understood matches")
	}
}

// A negated constraint holds exactly where the plain one does not.
func TestNegationIsTheOpposite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SampledFrom([]string{"a", "a*", "?", `"a*"`, "ab"}).Draw(t, "value")
		h := &Host{Labels: map[string]string{"x": rapid.SampledFrom([]string{"", "a", "A", "ab", "a*", "b"}).Draw(t, "label")}}
		for _, pair := range [][2]string{{"== " + value, "!= " + value}, {"in (" + value + ", b)", "not in (" + value + ", b)"}, {"=~ a", "!~ a"}} {
			plain, err := ParseConstraint("node.labels.x " + pair[0])
			if err != nil {
				t.Fatal(err)
			}
			negated, err := ParseConstraint("node.labels.x " + pair[1])
			if err != nil {
				t.Fatal(err)
			}
			if plain.Match(h) == negated.Match(h) || plain.MatchValue("a") != negated.MatchValue("a") {
				t.Fatalf("%s and %s on %v", plain, negated, h.Labels)
			}
		}
	})
}

func TestConstraintsExplainThemselves(t *testing.T) {
	h := &Host{Hostname: "a", Arch: "arm64", Version: "20.10.24", Labels: map[string]string{"type": "db"}}
	for in, want := range map[string]string{
		"node.labels.type == worker":   `label type is "db", constraint wants worker`,
		"node.labels.type != db":       `label type is "db", constraint wants anything but db`,
		"node.labels.zone == a":        `label zone is not set, constraint wants a`,
		`node.labels.zone != ""`:       `label zone is not set, constraint wants any value`,
		"engine.labels.disk == ssd":    `engine label disk is not set, constraint wants ssd`,
		"labels.disk == ssd":           `label disk is not set, constraint wants ssd`,
		"node.hostname == b":           `hostname is "a", constraint wants b`,
		"node.platform.arch == x86_64": `platform.arch is "arm64", constraint wants x86_64`,
		"node.labels.type =~ ^w":       `label type is "db", constraint wants a match of /^w/`,
		"node.labels.type !~ d":        `label type is "db", constraint wants no match of /d/`,
		"node.labels.type in (a, b)":   `label type is "db", constraint wants one of (a, b)`,
		"node.labels.type not in (d*)": `label type is "db", constraint wants none of (d*)`,
		"engine.version >= 24":         `engine.version is "20.10.24", constraint wants >= 24`,
		"node.labels.type > 3":         `label type is "db", which is no number, constraint wants > 3`,
		"node.labels.type <= 16g":      `label type is "db", which is no size, constraint wants <= 16g`,
		"node.labels.type < v1.0":      `label type is "db", which is no version, constraint wants < v1.0`,
		"node.labels.none < v1.0":      `label none is not set, constraint wants < v1.0`,
	} {
		if got := parsed(t, in).Explain(h); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string][2]string{
		"service == cache":   {"", "no service cache is here, constraint wants one"},
		"image in (a, b)":    {"", "no image of (a, b) is here, constraint wants one"},
		"volume =~ ^d":       {"", "no volume matching /^d/ is here, constraint wants one"},
		"service !~ ^web":    {"", "a service matching /^web/ is here, constraint wants none"},
		"image not in (a)":   {"", "an image of (a) is here, constraint wants none"},
		"service != web*":    {"web2", "service web2 is here, constraint wants no service web*"},
		"service not in (a)": {"a", "service a is here, constraint wants no service of (a)"},
		"image !~ redis":     {"redis:7", "image redis:7 is here, constraint wants no image matching /redis/"},
	} {
		if got := parsed(t, in).ExplainBeside(want[0]); got != want[1] {
			t.Errorf("%q: got %q, want %q", in, got, want[1])
		}
	}
}

func TestOnlyHardConstraintsAboutHostsKeepTasksOff(t *testing.T) {
	h := &Host{Labels: map[string]string{"a": "1"}}
	for in, want := range map[string]string{
		"node.labels.a == 1 && service == x && image == y && volume == z": "",
		"node.labels.a == 2 ~":                                    "",
		"node.labels.a == 2 ~ && node.labels.b == 3":              "node.labels.b == 3",
		"node.labels.a == 1 && node.labels.a > 1 && node.id == x": "node.labels.a > 1",
	} {
		all, err := ParseConstraints(in)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if c := (&Service{Constraints: all}).Unmet(h); c != nil {
			got = c.String()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

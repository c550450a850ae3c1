package engine

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"berth/placement"
)

var update = flag.Bool("update", false, "write what conversions give into testdata/convert")

// Each file of testdata/convert holds a compose file and, for each service and API version, the creation that the
// engine is asked for, without what is empty. "go test -run Golden -update" writes them.
func TestGoldenConversions(t *testing.T) {
	paths, err := filepath.Glob("testdata/convert/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no cases: ", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			p := project(t, "/srv/shop", string(archive.Files[0].Data))
			got := &txtar.Archive{Comment: archive.Comment, Files: slices.Clone(archive.Files[:1])}
			for _, s := range p.Services {
				last := ""
				for _, api := range []string{"1.41", "1.51"} {
					c := conversion(t, p, s.Name, api)
					if c == last {
						continue // the same as for the older one
					}
					last = c
					got.Files = append(got.Files, txtar.File{Name: s.Name + " " + api, Data: []byte(c)})
				}
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(txtar.Format(archive)), string(txtar.Format(got))); d != "" {
				t.Error(d)
			}
		})
	}
}

// conversion is a service's creation as JSON, or the error.
func conversion(t *testing.T, p *placement.Project, service, api string) string {
	t.Helper()
	s := spec(p, service)
	s.ShareWith = map[string]string{}
	s.Cluster = s.Service.Spec.Extensions["x-cluster"] != nil
	for _, other := range s.Service.SharesWith {
		s.ShareWith[other] = "shop-" + other + "-1"
	}
	for _, n := range p.Networks {
		if n.Spec.Extensions["x-overlay"] != nil && s.Service.Spec.NetworkMode == "" {
			a := ip(n.Spec.Extensions["x-overlay"].(string))
			s.Cluster = true
			s.Endpoints = append(s.Endpoints, placement.Endpoint{Network: n.Name, IP: a, MAC: placement.MACFor(a)})
			s.Resolvers = append(s.Resolvers, a.Prev())
		}
	}
	c, err := convert(&s, surroundings{API: api, ImageID: "sha256:1234", Read: func(path string) ([]byte, error) {
		if path != "/srv/shop/profile.json" {
			return nil, errors.New("no such file " + path)
		}
		return []byte("{ \"defaultAction\": \"ALLOW\" }"), nil
	}})
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	if !strings.HasSuffix(t.Name(), "/minimal") { // one case shows what is in all of them
		c.Config.AttachStdout, c.Config.AttachStderr = false, false
		for k := range c.Config.Labels {
			if ownLabel(k) && k != labelDependsOn && k != labelCPUs && k != labelMemory {
				delete(c.Config.Labels, k)
			}
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(b, &tree); err != nil {
		t.Fatal(err)
	}
	b, err = json.MarshalIndent(prune(tree), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

// prune leaves out nulls, zeros and empty things, but keeps the names in sets; nil when nothing is left.
func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if set, ok := e.(map[string]any); ok && (k == "Tmpfs" || k == "ExposedPorts" || k == "PortBindings") && len(set) > 0 {
				continue // what is empty in these says something
			}
			if v[k] = prune(e); v[k] == nil {
				delete(v, k)
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		if len(v) == 2 && v[0] == 0.0 && v[1] == 0.0 {
			return nil // the console's size
		}
		for i := range v {
			v[i] = prune(v[i])
		}
	case string:
		if v == "" {
			return nil
		}
	case float64:
		if v == 0 {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	}
	return v
}

func TestAConversionIsTheSameEveryTime(t *testing.T) {
	text := "services:\n  web:\n    image: app\n    environment: {A: '1', B: '2', C: '3'}\n    extra_hosts: [\"a:1.1.1.1\", \"b:2.2.2.2\"]\n" +
		"    ulimits: {nofile: 5, nproc: 6, core: 7}\n    volumes: [\"a:/a\", \"b:/b\", /c, /d]\n    ports: [\"80:80\", \"81:81\"]\nvolumes: {a: {}, b: {}}\n"
	p := project(t, "/srv/shop", text)
	first := conversion(t, p, "web", "1.51")
	for range 20 {
		if d := cmp.Diff(first, conversion(t, p, "web", "1.51")); d != "" {
			t.Fatal(d)
		}
	}
}

func TestPlatformsAreReadAsComposeWritesThem(t *testing.T) {
	for text, want := range map[string]string{
		"linux/amd64": "linux amd64 ", "linux/arm64/v8": "linux arm64 v8", "arm64": "linux arm64 ", "linux/x86_64": "linux amd64 ",
		"linux/aarch64": "linux arm64 ", "armhf": "linux arm v7", "windows/amd64": "windows amd64 ", "Linux/AMD64": "linux amd64 ",
	} {
		p, err := parsePlatform(text)
		if err != nil || p.OS+" "+p.Architecture+" "+p.Variant != want {
			t.Errorf("%s: %+v, %v, want %s", text, p, err, want)
		}
	}
	for _, text := range []string{"", "linux/", "a/b/c/d"} {
		if _, err := parsePlatform(text); err == nil {
			t.Errorf("%q is taken for a platform", text)
		}
	}
}

func TestAReservationBecomesAWeightInProportion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Int64Range(1, 128_000).Draw(t, "a millicores")
		b := rapid.Int64Range(1, 128_000).Draw(t, "b millicores")
		weight := func(cpu int64) int64 {
			s := serviceOf("x")
			s.Reservation.CPU = cpu
			return resources(s).CPUShares
		}
		wa, wb := weight(a), weight(b)
		if wa < minimumShares || a <= b && wa > wb {
			t.Fatalf("%d millicores weigh %d, %d weigh %d", a, wa, b, wb)
		}
		if weight(1000) != 1024 {
			t.Fatal("a core does not weigh 1024")
		}
	})
}

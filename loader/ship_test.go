package loader

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
)

// mounted describes the mounts of service web of a project on a cluster, a line each, hashes as HASH.
func mounted(p *placement.Project) string {
	var b strings.Builder
	s := p.Service("web")
	for _, m := range s.Mounts {
		mode := "rw"
		if m.ReadOnly {
			mode = "ro"
		}
		b.WriteString(m.Type + " " + m.Source + " " + m.Target + " " + mode)
		for _, v := range p.Volumes {
			if v.Key == m.Source && v.Seed != nil {
				kind := " data"
				if v.Seed.Fixed {
					kind = " fixed"
				}
				b.WriteString(kind + " from " + v.Seed.Path)
			}
		}
		b.WriteString("\n")
	}
	for _, f := range s.Files {
		b.WriteString("file " + f.Path + " " + f.Target + "\n")
	}
	return regexp.MustCompile("_[0-9a-f]{12} ").ReplaceAllString(strings.ReplaceAll(b.String(), p.Dir, "DIR"), "_HASH ")
}

func TestRelativeBindsReachTheHostsOfACluster(t *testing.T) {
	const tree = "-- conf/app.conf --\na=1\n-- sub/c.yaml --\nservices: {base: {image: a, volumes: ['./conf:/conf:ro']}}\n-- sub/conf/x --\nx\n"
	for _, c := range []struct{ name, lines, want string }{
		{"a folder that is read is a volume named after its content", "volumes: ['./conf:/conf:ro']",
			"volume conf_HASH /conf ro fixed from DIR/conf\n"},
		{"a folder that is written begins as the folder", "volumes: ['./conf:/conf']",
			"volume conf_HASH /conf rw data from DIR/conf\n"},
		{"one that is both is one volume", "volumes: ['./conf:/conf', './conf:/same:ro']",
			"volume conf_HASH /conf rw data from DIR/conf\nvolume conf_HASH /same ro data from DIR/conf\n"},
		{"a file is copied", "volumes: ['./conf/app.conf:/etc/app.conf:ro', /abs:/abs]\ntmpfs: [/quick]",
			"bind /abs /abs rw\ntmpfs  /quick rw\nfile DIR/conf/app.conf /etc/app.conf\n"},
		{"the project folder by variable", "volumes: ['${PWD}/conf:/conf:ro']",
			"volume conf_HASH /conf ro fixed from DIR/conf\n"},
		{"the long form", "volumes: [{type: bind, source: ./conf, target: /conf, read_only: true, bind: {propagation: rshared}}]",
			"volume conf_HASH /conf ro fixed from DIR/conf\n"},
		{"in an extended file", "extends: {file: sub/c.yaml, service: base}",
			"volume sub-conf_HASH /conf ro fixed from DIR/sub/conf\n"},
		{"a missing folder is empty", "volumes: ['./none:/none']",
			"volume none_HASH /none rw data from \n"},
		{"the project folder itself", "volumes: ['.:/src']", "volume folder_HASH /src rw data from DIR\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			newWorld(t, web(c.lines)+tree).mustLoad()
			w := newWorld(t, web(c.lines)+tree, cluster)
			w.opts.Environ = append(w.opts.Environ, "PWD="+w.dir)
			if diff := cmp.Diff(c.want, mounted(w.mustLoad())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsSentCountsInTheHash(t *testing.T) {
	type state struct{ hash, mounts string }
	for _, c := range []struct {
		name, lines string
		edit        func(dir string) error
		changes     bool
	}{
		{"content of a folder that is read", "volumes: ['./conf:/conf:ro']", func(dir string) error { return os.WriteFile(dir+"/conf/f", []byte("2"), 0o644) }, true},
		{"permission", "volumes: ['./conf:/conf:ro']", func(dir string) error { return os.Chmod(dir+"/conf/f", 0o600) }, true},
		{"an empty folder", "volumes: ['./conf:/conf:ro']", func(dir string) error { return os.Mkdir(dir+"/conf/d", 0o755) }, true},
		{"a link", "volumes: ['./conf:/conf:ro']", func(dir string) error { return os.Symlink("f", dir+"/conf/l") }, true},
		{"a time is no content", "volumes: ['./conf:/conf:ro']", func(dir string) error { return os.WriteFile(dir+"/conf/f", []byte("1\n"), 0o644) }, false},
		{"content of a file", "volumes: ['./conf/f:/f:ro']", func(dir string) error { return os.WriteFile(dir+"/conf/f", []byte("2"), 0o644) }, true},
		{"content of a folder that is data", "volumes: ['./conf:/conf']", func(dir string) error { return os.WriteFile(dir+"/conf/f", []byte("2"), 0o644) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, web(c.lines)+"-- conf/f --\n1\n", cluster)
			look := func() state {
				p := w.mustLoad()
				s := p.Service("web")
				all := ""
				for _, m := range s.Mounts {
					all += m.Source
				}
				return state{s.ConfigHash, all}
			}
			before := look()
			if again := look(); again != before {
				t.Fatalf("two loads differ: %v, %v", before, again)
			}
			if err := c.edit(w.dir); err != nil {
				t.Fatal(err)
			}
			if after := look(); (after.hash != before.hash) != c.changes {
				t.Errorf("before %v, after %v, want a change: %v", before, after, c.changes)
			}
		})
	}
}

func TestTheSameProjectInTwoFoldersHasTheSameHashesAndVolumes(t *testing.T) {
	load := func() *placement.Project {
		return newWorld(t, web("volumes: ['./conf:/conf:ro', './data:/data', './conf/f:/f']")+"-- conf/f --\n1\n-- data/f --\n1\n", cluster).mustLoad()
	}
	a, b := load(), load()
	if a.Dir == b.Dir {
		t.Fatal("two worlds in one folder")
	}
	if diff := cmp.Diff(a.Service("web").Mounts, b.Service("web").Mounts); diff != "" || a.Service("web").ConfigHash != b.Service("web").ConfigHash {
		t.Errorf("%s, hashes %s and %s", diff, a.Service("web").ConfigHash, b.Service("web").ConfigHash)
	}
}

func TestSelectingServicesKeepsWhatIsSent(t *testing.T) {
	w := newWorld(t, web("volumes: ['./conf:/conf:ro', './conf/f:/f:ro']")+"  other: {image: a, volumes: ['./data:/data']}\n-- conf/f --\n1\n", cluster)
	p := w.mustLoad()
	selected, err := Select(p, []string{"web"}, SelectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(mounted(p), mounted(selected)); diff != "" || selected.Service("web").ConfigHash != p.Service("web").ConfigHash || len(selected.Volumes) != 1 {
		t.Errorf("%s\n%d volumes", diff, len(selected.Volumes))
	}
}

func TestWhatIsNotSentAsItIsIsSaid(t *testing.T) {
	w := newWorld(t, web("volumes: ['./none:/none', './f:/f', './ro:/ro:ro']")+"-- f --\n1\n-- ro --\n1\n", cluster)
	want := []string{
		"service web: ./none does not exist on this machine; its container gets an empty volume at /none",
		"service web: ./f is copied into the container; what is written to /f there stays there",
	}
	if diff := cmp.Diff(want, w.mustLoad().Warnings); diff != "" {
		t.Error(diff)
	}
	w = newWorld(t, web("volumes: [{type: bind, source: ./none, target: /none, bind: {create_host_path: false}}]"), cluster)
	if _, err := w.load(); err == nil || !strings.Contains(err.Error(), "services.web.volumes.0: bind mount ./none: there is nothing at this path, and create_host_path is false") {
		t.Errorf("a path that must exist: %v", err)
	}
	w = newWorld(t, web("volumes: ['./secret:/secret:ro']"), cluster)
	if err := os.MkdirAll(filepath.Join(w.dir, "secret"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(w.dir, "secret", "dangling")); err != nil {
		t.Fatal(err)
	}
	w.mustLoad() // a dangling link travels as it is
}

func TestAnEditOfAFileThatIsCopiedOnOneHostCountsAndOneThatIsBoundDoesNot(t *testing.T) {
	for lines, counts := range map[string]bool{
		"secrets: [{source: s, mode: 0400}]": true,
		"secrets: [{source: s, uid: '7'}]":   true,
		"secrets: [s]":                       false,
	} {
		w := newWorld(t, web(lines)+"secrets: {s: {file: ./s}}\n-- s --\n1\n")
		before := w.mustLoad().Service("web").ConfigHash
		if again := w.mustLoad().Service("web").ConfigHash; again != before {
			t.Errorf("%s: two loads differ", lines)
		}
		if err := os.WriteFile(filepath.Join(w.dir, "s"), []byte("longer"), 0o644); err != nil {
			t.Fatal(err)
		}
		if after := w.mustLoad().Service("web").ConfigHash; (after != before) != counts {
			t.Errorf("%s: the hash changed: %v, want %v", lines, after != before, counts)
		}
	}
}

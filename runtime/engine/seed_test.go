package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"berth/placement"
)

// seeded is a project with one service that mounts a volume which stands for dir.
func seeded(t *testing.T, dir string, fixed bool) (*placement.Project, *placement.VolumeSpec) {
	t.Helper()
	p := project(t, dir, "services: {web: {image: \"berth-lab/busybox:1\", command: sleep 600, network_mode: none, volumes: [\"conf:/conf\"]}}\nvolumes: {conf: {}}\n")
	v := p.Volumes[0]
	v.Seed = &placement.Seed{Path: dir, Fixed: fixed}
	return p, v
}

func TestASeededVolumeIsTheFolder(t *testing.T) {
	b := onEngine(t)
	dir := filepath.Join(t.TempDir(), "conf")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "empty"), 0o700), os.MkdirAll(filepath.Join(dir, "deep", "er"), 0o755),
		os.WriteFile(filepath.Join(dir, "deep", "er", "f"), []byte("content"), 0o640), os.Symlink("deep/er/f", filepath.Join(dir, "link")),
		os.Symlink("nowhere", filepath.Join(dir, "dangling")), os.WriteFile(filepath.Join(dir, "run"), []byte("x"), 0o755),
		os.Chmod(filepath.Join(dir, "run"), 0o755|os.ModeSetuid), os.Chown(filepath.Join(dir, "deep"), 1000, 7),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600), os.Chmod(dir, 0o751), os.Chown(dir, 5, 6),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p, v := seeded(t, dir, true)
	skipped, err := b.SeedVolume(b.ctx, p, v, "berth-lab/busybox:1")
	if err != nil {
		t.Fatal(err)
	}
	if len(skipped) != 1 || !strings.Contains(skipped[0], "/conf/pipe is a socket, device or pipe") {
		t.Errorf("left out: %q", skipped)
	}
	id := b.create(spec(p, "web"))
	if err := b.Start(b.ctx, id); err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]string{
		"cd /conf; find . | sort | xargs": ". ./dangling ./deep ./deep/er ./deep/er/f ./empty ./link ./run",
		"cat /conf/link":                  "content",
		"readlink /conf/dangling":         "nowhere",
		"stat -c '%a %u %g' /conf /conf/empty /conf/deep /conf/run /conf/deep/er/f | xargs": "751 5 6 700 0 0 755 1000 7 4755 0 0 640 0 0",
	} {
		if got := b.sh(id, script); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
	if o := b.observe(p); len(o.Volumes) != 1 || !o.Volumes[0].Fixed || o.Volumes[0].Unseeded || o.Volumes[0].Project != "shop" || o.Volumes[0].Scope != "local" {
		t.Errorf("observed %+v", o.Volumes)
	}
}

// What is not complete is never taken for complete, and what is complete is never touched again.
func TestASeedingThatWasCutShortIsSeenAndDoneAnew(t *testing.T) {
	b := onEngine(t)
	dir := t.TempDir()
	write := func(name string, size int) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a", 1)
	p, v := seeded(t, dir, false)
	if err := os.Mkdir(filepath.Join(dir, "zz"), 0o755); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "b-big")
	if err := errors.Join(os.WriteFile(big, nil, 0o644), os.Truncate(big, 1<<30)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	seeding := make(chan error, 1)
	go func() {
		_, err := b.SeedVolume(ctx, p, v, "berth-lab/busybox:1")
		seeding <- err
	}()
	for { // until it is under way
		_, err := b.raw.ContainerInspect(b.ctx, v.Name+seederSuffix)
		if err == nil {
			break
		}
		if !IsNotFound(err) {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-seeding; err == nil {
		t.Fatal("the seeding was over before it could be cut short")
	}
	if err := os.Remove(big); err != nil {
		t.Fatal(err)
	}
	half := b.observe(p).Volumes
	if len(half) != 1 || !half[0].Unseeded || half[0].Fixed {
		t.Fatalf("observed %+v, want a volume that is not complete", half)
	}
	seed := func() {
		t.Helper()
		if _, err := b.SeedVolume(b.ctx, p, v, "berth-lab/busybox:1"); err != nil {
			t.Fatal(err)
		}
	}
	seed()
	if o := b.observe(p).Volumes; len(o) != 1 || o[0].Unseeded {
		t.Errorf("after it was done anew: %+v", o)
	}
	id := b.create(spec(p, "web"))
	if err := b.Start(b.ctx, id); err != nil {
		t.Fatal(err)
	}
	b.sh(id, "echo data > /conf/a")
	write("b", 1)
	seed()
	if got := b.sh(id, "cat /conf/a; ls /conf | xargs"); got != "data\na zz" {
		t.Errorf("what is complete was seeded again: %q", got)
	}
}

func TestAFolderThatCannotBeReadLeavesItsVolumeMarked(t *testing.T) {
	b := onEngine(t)
	p, v := seeded(t, t.TempDir(), true)
	v.Seed.Path = filepath.Join(v.Seed.Path, "gone")
	_, err := b.SeedVolume(b.ctx, p, v, "berth-lab/busybox:1")
	if err == nil || !strings.Contains(err.Error(), "fill volume shop_conf: send "+v.Seed.Path) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error: %v", err)
	}
	if o := b.observe(p).Volumes; len(o) != 1 || !o[0].Unseeded {
		t.Errorf("observed %+v, want a volume that is not complete", o)
	}
	if err := b.RemoveVolume(b.ctx, v.Name); err != nil {
		t.Error(err)
	}
	if marks, err := b.marks(b.ctx, v.Name); err != nil || len(marks) > 0 {
		t.Errorf("its marks stay: %+v, %v", marks, err)
	}
}

func TestASentFileHasItsOwnModeAndOwner(t *testing.T) {
	b := onEngine(t)
	path := filepath.Join(t.TempDir(), "run.sh")
	if err := os.WriteFile(path, []byte("echo ran\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 1000, 7); err != nil {
		t.Fatal(err)
	}
	p := project(t, t.TempDir(), "services: {web: {image: \"berth-lab/busybox:1\", command: sleep 600, network_mode: none, read_only: true}}\n")
	p.Services[0].Files = []placement.File{{Path: path, Target: "/usr/local/bin/run.sh"}}
	id := b.up(p)["web"]
	if got := b.sh(id, "stat -c '%a %u %g' /usr/local/bin/run.sh; cat /usr/local/bin/run.sh"); got != "700 1000 7\necho ran" {
		t.Errorf("%q", got)
	}
}

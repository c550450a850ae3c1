package etcd_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"berth/runtime/store/embedded/embeddedtest"
	"berth/runtime/store/etcd"
)

// debiansEtcd returns the path of an etcd: the machine's, or the one of Debian's package, unpacked into the user's cache.
// It is not installed, because the package would start a service.
var debiansEtcd = sync.OnceValues(func() (string, error) {
	if path, err := exec.LookPath("etcd"); err == nil {
		return path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "berth-tests", "etcd-server")
	path := filepath.Join(dir, "usr", "bin", "etcd")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "unpack-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	fmt.Println("fetching etcd-server from Debian (apt-get download)")
	run := func(name string, args ...string) error {
		cmd := exec.Command(name, args...)
		cmd.Dir = tmp
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", cmd, err, bytes.TrimSpace(out))
		}
		return nil
	}
	// apt drops to a user of its own, which may not write here; that is only a warning.
	if err := run("apt-get", "download", "etcd-server"); err != nil {
		if err := run("apt-get", "update", "-qq"); err != nil {
			return "", err
		}
		if err := run("apt-get", "download", "etcd-server"); err != nil {
			return "", err
		}
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "etcd-server_*.deb"))
	if err != nil || len(debs) != 1 {
		return "", fmt.Errorf("apt-get download etcd-server left %d packages", len(debs))
	}
	root := filepath.Join(tmp, "root")
	if err := run("dpkg-deb", "-x", debs[0], root); err != nil {
		return "", err
	}
	if err := os.Rename(root, dir); err != nil { // whole or not at all
		return "", err
	}
	return path, nil
})

// external starts Debian's etcd, of another version than the embedded one and with its own default limits, and returns
// its endpoint.
func external(t *testing.T, args ...string) string {
	t.Helper()
	addrs := embeddedtest.FreeAddrs(t, 2)
	startExternal(t, t.TempDir(), addrs[0], addrs[1], args...)
	st, err := etcd.Open(t.Context(), etcd.Config{Endpoints: addrs[:1], Timeout: embeddedtest.StartLimit})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return addrs[0]
}

// startExternal starts an etcd process and returns a function that kills it, which is also done when the test ends.
func startExternal(t *testing.T, dir, client, peer string, args ...string) (kill func()) {
	t.Helper()
	path, err := debiansEtcd()
	if err != nil {
		t.Fatalf("this test needs Debian's etcd: %v", err)
	}
	cmd := exec.CommandContext(context.Background(), path, append(externalArgs(dir, client, peer), args...)...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if t.Failed() {
				t.Logf("etcd said:\n%s", log.String())
			}
		})
	}
	t.Cleanup(kill)
	return kill
}

// externalArgs are the arguments of an etcd of one member; client and peer are where it listens, host:port.
func externalArgs(dir, client, peer string) []string {
	return []string{
		"--name", "external", "--data-dir", dir, "--log-level", "warn",
		"--listen-client-urls", "http://" + client, "--advertise-client-urls", "http://" + client,
		"--listen-peer-urls", "http://" + peer, "--initial-advertise-peer-urls", "http://" + peer,
		"--initial-cluster", "external=http://" + peer,
	}
}

package etcd_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"berth/runtime/store/embedded/embeddedtest"
	"berth/runtime/store/etcd"
)

var installEtcd = sync.OnceValue(func() error {
	if _, err := exec.LookPath("etcd"); err == nil {
		return nil
	}
	fmt.Println("installing etcd-server from Debian (apt-get install)")
	install := func() ([]byte, error) {
		cmd := exec.Command("apt-get", "install", "-y", "--no-install-recommends", "etcd-server")
		// The package starts a service where it can; policy-rc.d is how Debian is told not to.
		cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		return cmd.CombinedOutput()
	}
	out, err := install()
	if err != nil {
		if out, err := exec.Command("apt-get", "update").CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get update: %w: %s", err, out)
		}
		out, err = install()
	}
	if err != nil {
		return fmt.Errorf("apt-get install etcd-server: %w: %s", err, out)
	}
	return nil
})

// external starts Debian's etcd, of another version than the embedded one and with its own default limits, and returns
// its endpoint.
func external(t *testing.T, args ...string) string {
	t.Helper()
	if err := installEtcd(); err != nil {
		t.Fatalf("this test needs Debian's etcd: %v", err)
	}
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
	cmd := exec.CommandContext(context.Background(), "etcd", append([]string{
		"--name", "external", "--data-dir", dir, "--log-level", "warn",
		"--listen-client-urls", "http://" + client, "--advertise-client-urls", "http://" + client,
		"--listen-peer-urls", "http://" + peer, "--initial-advertise-peer-urls", "http://" + peer,
		"--initial-cluster", "external=http://" + peer,
	}, args...)...)
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

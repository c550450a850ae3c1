package main_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"berth/fixtures/lab/lab"
)

// The agent's container as runtime/README.md lists it, "Agent": whatever an engine says of it that is not nothing. Who
// gives it more writes down here, and there, what for.
const agentRights = `{
	"CapDrop": ["ALL"],
	"CapAdd": ["CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_ADMIN"],
	"NetworkMode": "host",
	"IpcMode": "private",
	"SecurityOpt": ["label=disable", "apparmor=unconfined", "no-new-privileges"],
	"MaskedPaths": ["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
	"ReadonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger", "/proc/sys/abi", "/proc/sys/debug", "/proc/sys/dev",
		"/proc/sys/fs", "/proc/sys/kernel", "/proc/sys/user", "/proc/sys/vm"],
	"Mounts": [
		{"Type": "volume", "Source": "berth-agent", "Target": "/var/lib/berth"},
		{"Type": "bind", "Source": "/var/run", "Target": "/run/engine", "ReadOnly": true,
			"BindOptions": {"NonRecursive": true, "Propagation": "private"}}],
	"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
	"LogConfig": {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}},
	"Runtime": "runc",
	"ShmSize": 67108864
}`

func TestAnAgentHasTheRightsThatItNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	w := newWorld(t, l, spread)
	w.must("up", "-d")
	var want map[string]any
	if err := json.Unmarshal([]byte(agentRights), &want); err != nil {
		t.Fatal(err)
	}
	for host, out := range w.onHosts("docker", "inspect", "--format", "{{json .HostConfig}}", "berth-agent") {
		var got map[string]any
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%s: %v in %s", host, err, out)
		}
		for key, v := range got {
			if nothing(v) {
				delete(got, key)
			}
		}
		delete(got, "CgroupnsMode") // the engine's default, which depends on the kernel's cgroups
		h, err := l.Host(host)
		if err != nil {
			t.Fatal(err)
		}
		if folder := got["Mounts"].([]any)[1].(map[string]any); folder["Source"] == filepath.Dir(h.Socket()) {
			folder["Source"] = "/var/run" // the lab has one a host
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the agent on %s may other things than those listed (- listed, + may):\n%s", host, diff)
		}
	}
	// CAP_SYS_ADMIN is given up before the agent does anything: no thread has it, nor can get it again.
	for host, out := range w.onHosts("docker", "inspect", "--format", "{{.State.Pid}}", "berth-agent") {
		pid := strings.TrimSpace(out)
		for _, status := range strings.Split(w.on(host, "sh", "-c", "cat /proc/"+pid+"/task/*/status || :"), "\nName:") {
			for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
				if caps := capabilities(t, status, set); caps&^agentCapabilities != 0 {
					t.Errorf("%s: a thread of the agent has %s %#x, which is more than %#x", host, set, caps, agentCapabilities)
				}
			}
			if !strings.Contains(status, "NoNewPrivs:\t1") {
				t.Errorf("%s: a thread of the agent may get new rights:\n%s", host, status)
			}
		}
	}
	for host, out := range w.onHosts("docker", "inspect", "--format", "{{.Config.User}} {{range .Mounts}}{{.Destination}} {{end}}", "berth-agent") {
		if got := strings.Fields(out); !slices.Equal(sorted(got), []string{"/run/engine", "/var/lib/berth"}) {
			t.Errorf("%s: user and mounts are %v", host, got)
		}
	}
}

// agentCapabilities are those that the agent keeps.
const agentCapabilities = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_NET_BIND_SERVICE

// capabilities reads one set out of a thread's status file.
func capabilities(t *testing.T, status, set string) uint64 {
	t.Helper()
	_, rest, found := strings.Cut(status, set+":")
	digits, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	caps, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 64)
	if !found || err != nil {
		t.Fatalf("no %s in %q: %v", set, status, err)
	}
	return caps
}

// nothing reports whether a value of a container's configuration gives nothing.
func nothing(v any) bool {
	switch s := fmt.Sprint(v); s {
	case "<nil>", "[]", "map[]", "0", "false", "", "[0 0]":
		return true
	}
	return false
}

package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"

	"berth/placement"
)

func hostAt(address string) placement.InventoryHost {
	return placement.InventoryHost{Name: "host2", Address: address}
}

// The messages are the engines' own, of the version named.
func TestEngineErrorsBecomeOneSentenceThatSaysWhatToDo(t *testing.T) {
	e, err := Connect(hostAt("tcp://10.0.0.1:2375"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ version, message, want string }{
		{"20.10", `Error response from daemon: driver failed programming external connectivity on endpoint shop-web-1 (8f0e): Bind for 0.0.0.0:80 failed: port is already allocated`,
			`host host2: start container web: port 80 on host2 is already in use by another container; free it or change ports:`},
		{"20.10", `Error response from daemon: driver failed programming external connectivity on endpoint shop-web-1 (8f0e): Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use`,
			`host host2: start container web: port 80/tcp on host2 is already in use by another program or container; free it or change ports:`},
		{"28", `Error response from daemon: failed to set up container networking: driver failed programming external connectivity on endpoint shop-web-1 (8f0e): failed to bind host port for 0.0.0.0:80:172.18.0.2:80/tcp: address already in use`,
			`host host2: start container web: port 80/tcp on host2 is already in use by another program or container; free it or change ports:`},
		{"29", `failed to set up container networking: driver failed programming external connectivity on endpoint shop-web-1 (8f0e): failed to bind host port 0.0.0.0:53/udp: address already in use`,
			`host host2: start container web: port 53/udp on host2 is already in use by another program or container; free it or change ports:`},
		{"20.10", `Error response from daemon: No such image: app:v3`,
			`host host2: start container web: image app:v3 is not on this host; pull or build it first`},
		{"20.10", `Error response from daemon: image with reference app:v3 was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64`,
			`host host2: start container web: image app:v3 on this host is of another platform; pull it for the wanted platform or change platform:`},
		{"20.10", `Error response from daemon: Conflict. The container name "/shop-web-1" is already in use by container "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef". You have to remove (or rename) that container to be able to reuse that name.`,
			`host host2: start container web: the name shop-web-1 is already taken by container 0123456789ab; remove or rename that container`},
		{"20.10", `Error response from daemon: mkdir /var/lib/docker/overlay2/x: no space left on device`,
			`host host2: start container web: the disk of host2 is full; free space, for example with "docker system prune"`},
		{"29", `Error response from daemon: invalid pool request: Pool overlaps with other one on this address space`,
			`host host2: start container web: its subnet overlaps with that of another network on host2; choose another subnet in ipam:, or remove the other network`},
		{"20.10", `Error response from daemon: could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network`,
			`host host2: start container web: the engine has no free subnet left; remove unused networks with "docker network prune" or give this one a subnet in ipam:`},
		{"20.10", `Error response from daemon: invalid mount config for type "bind": bind source path does not exist: /srv/data`,
			`host host2: start container web: the folder /srv/data to mount does not exist on host2; create it there or set create_host_path: true`},
		{"20.10", `Error response from daemon: OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "srv": executable file not found in $PATH: unknown`,
			`host host2: start container web: the image has no program srv; correct command: or entrypoint:`},
		{"20.10", `Error response from daemon: ps: exec: "ps": executable file not found in $PATH`,
			`host host2: start container web: host2 has no program ps; install it there (Debian's package procps)`},
		{"20.10", `Error response from daemon: Address already in use`,
			`host host2: start container web: the container's network address is taken by another container; choose another ipv4_address:`},
		{"20.10", `Error response from daemon: could not select device driver "" with capabilities: [[gpu]]`,
			`host host2: start container web: host2 has no device driver for [[gpu]]; install it there, or constrain the service to a host that has it`},
		{"20.10", `Error response from daemon: failed to create the ipvlan port: operation not supported`,
			`host host2: start container web: the kernel of host2 has no ipvlan; give the network another driver, or constrain the service to hosts whose kernel has it`},
		{"20.10", `Error response from daemon: network dm-4f1d0c0e2d5e is already using parent interface eth0`,
			`host host2: start container web: the network dm-4f1d0c0e2d5e has the interface eth0 of host2 already; give this network another parent: in driver_opts`},
		{"any", `Error response from daemon: something that nobody has seen yet`,
			`host host2: start container web: something that nobody has seen yet`},
	} {
		if got := e.fail("start container", "web", errors.New(c.message)).Error(); got != c.want {
			t.Errorf("engine %s: %s\n got %s\nwant %s", c.version, c.message, got, c.want)
		}
	}
}

func TestAMachineWithoutSSHIsTold(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	e, err := Connect(hostAt("ssh://deploy@10.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	const want = "this machine has no program ssh; install it here"
	if snap, _ := e.Observe(t.Context(), Query{}); !strings.Contains(snap.Host.Problem, want) {
		t.Errorf("got %q, want %q", snap.Host.Problem, want)
	}
}

func TestErrorsKeepTheirKindAndAreWrappedOnce(t *testing.T) {
	e, err := Connect(hostAt("tcp://10.0.0.1:2375"))
	if err != nil {
		t.Fatal(err)
	}
	inner := e.fail("remove volume", "v", fmt.Errorf("gone: %w", cerrdefs.ErrNotFound))
	outer := e.fail("clean up", "p", inner)
	if fmt.Sprintf("%p", outer) != fmt.Sprintf("%p", inner) || !IsNotFound(outer) || IsConflict(outer) {
		t.Errorf("%v", outer)
	}
	if e.fail("x", "y", nil) != nil {
		t.Error("nil became an error")
	}
	var typed *Error
	if !errors.As(outer, &typed) || typed.Host != "host2" || typed.Op != "remove volume" || typed.Subject != "v" {
		t.Errorf("%+v", typed)
	}
}

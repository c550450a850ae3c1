package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"berth/fixtures/lab/lab"
)

const oneService = `
services:
  web:
    image: berth-lab/busybox:1
    command: sleep 1000
    stop_grace_period: 0s
`

func TestBadInputGetsOneSentenceWithoutAnyHost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		compose   string
		inventory string
		args      []string
		want      []string
	}{
		{name: "no compose file", args: []string{"up", "-d"}, want: []string{"no compose file"}},
		{name: "bad YAML", compose: "services:\n  web:\n   image: x\n  image: [\n", args: []string{"up", "-d"}, want: []string{"compose.yml:"}},
		{
			name: "unknown key", compose: "services:\n  web:\n    imagee: x\n", args: []string{"up", "-d"},
			want: []string{"compose.yml:3", "services.web", "imagee", "did you mean image?"},
		},
		{
			name:    "dependency cycle",
			compose: "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n",
			args:    []string{"up", "-d"}, want: []string{"cycle"},
		},
		{name: "unknown service in scale", compose: oneService, args: []string{"scale", "wbe=2"}, want: []string{"wbe", "web"}},
		{name: "bad number in scale", compose: oneService, args: []string{"scale", "web=many"}, want: []string{"web=many", "SERVICE=N"}},
		{name: "unknown service in up", compose: oneService, args: []string{"up", "-d", "wbe"}, want: []string{"wbe"}},
		{name: "unknown command", compose: oneService, args: []string{"upp"}, want: []string{"unknown command \"upp\"", "did you mean \"berth up\"?"}},
		{
			name: "surplus argument", compose: oneService, args: []string{"store", "recover", "host1", "--yes"},
			want: []string{"store recover takes no arguments", "host1"},
		},
		{name: "unknown flag", compose: oneService, args: []string{"up", "--detatch"}, want: []string{"detatch", "berth up --help"}},
		{
			name: "duplicate host", compose: oneService, args: []string{"up", "-d"},
			inventory: "hosts:\n  a: {address: tcp://127.0.0.1:1}\n  a: {address: tcp://127.0.0.1:2}\n",
			want:      []string{"hosts.yml:3", "a"},
		},
		{
			name: "no host answers", compose: oneService, args: []string{"up", "-d"},
			inventory: "hosts:\n  a: {address: tcp://127.0.0.1:1}\n  b: {address: tcp://127.0.0.1:2}\n",
			want:      []string{"no host of", "hosts.yml", "127.0.0.1:1"},
		},
		{
			name: "unreachable store", compose: oneService, args: []string{"up", "-d"},
			inventory: "store: etcd://127.0.0.1:1\nhosts:\n  a: {address: tcp://127.0.0.1:2}\n  b: {address: tcp://127.0.0.1:3}\n",
			want:      []string{"store", "127.0.0.1:1", "cannot be reached", "hosts.yml"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil, c.compose)
			w.t = t
			if c.compose == "" {
				if err := os.Remove(filepath.Join(w.dir, "compose.yml")); err != nil {
					t.Fatal(err)
				}
			}
			if c.inventory != "" {
				w.write("hosts.yml", c.inventory)
			}
			w.refused(c.want, c.args...)
		})
	}
}

func TestBadInputOnRealHostsGetsOneSentenceAndLosesNothing(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	w := newWorld(t, l, oneService)
	w.must("up", "-d")
	before := ids(w.ps())
	kept := func(t *testing.T) {
		t.Helper()
		after := ids(w.ps())
		for name, id := range before {
			if after[name] != id {
				t.Errorf("%s did not survive", name)
			}
		}
	}

	t.Run("an engine listed twice", func(t *testing.T) {
		w := *w
		w.t = t
		path := l.WriteInventory(t, func(i *lab.Inventory) {
			twin := *i.Hosts["host1"]
			twin.Address = "unix://" + l.Hosts()[0].Socket()
			i.Hosts["twin"] = &twin
		})
		w.refused([]string{"host1", "twin", "same engine"}, "-i", path, "up", "-d")
		kept(t)
	})
	t.Run("a port taken on the host by another program", func(t *testing.T) {
		w := *w
		w.t = t
		host, err := l.Host("host2")
		if err != nil {
			t.Fatal(err)
		}
		squatter, err := host.Command(t.Context(), "busybox", "nc", "-l", "-p", "8099")
		if err != nil {
			t.Fatal(err)
		}
		if err := squatter.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = squatter.Process.Kill()
			_ = squatter.Wait()
		})
		eventually(t, "the port is taken", func() bool {
			_, err := host.Run(t.Context(), "sh", "-c", "grep -q :1FA3 /proc/net/tcp /proc/net/tcp6")
			return err == nil
		})
		w.write("compose.yml", oneService+`  greedy:
    image: berth-lab/busybox:1
    command: sleep 1000
    stop_grace_period: 0s
    ports: ["8099:80"]
    deploy: {placement: {constraints: [node.hostname == host2]}}
`)
		w.refused([]string{"8099/tcp", "host2", "in use"}, "up", "-d")
		kept(t)
		w.write("compose.yml", oneService)
		w.must("up", "-d", "--remove-orphans")
	})
	t.Run("a subnet that overlaps a host's own network", func(t *testing.T) {
		w := *w
		w.t = t
		subnet := l.Hosts()[0].Address()
		subnet = subnet[:len(subnet)-len("11")] + "0/24"
		w.write("compose.yml", oneService+"    networks: [n]\nnetworks:\n  n: {ipam: {config: [{subnet: "+subnet+"}]}}\n")
		w.refused([]string{subnet, "overlap", "host1"}, "up", "-d")
		kept(t)
		w.write("compose.yml", oneService)
	})
}

package main_test

import (
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"berth/fixtures/lab/lab"
)

const ipv6File = base + `
services:
  web:
    image: berth-lab/web:1
    init: true
    ports: [{target: 8000, published: 18080, mode: ingress}]
    networks: [plain, safe]
    deploy: {mode: global}
networks:
  plain:
  safe: {driver_opts: {encrypted: "true"}}
`

func TestHostsWithIPv6AddressesOnly(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.IPv6(), lab.Images("busybox", "web"))
	w := newWorld(t, l, ipv6File)

	content, err := os.ReadFile(l.Inventory())
	if err != nil {
		t.Fatal(err)
	}
	w.write("mixed.yml", strings.Replace(string(content), "  host2:\n", "  host2:\n    ip: 10.0.0.2\n", 1))
	w.refused([]string{"hosts host2 (10.0.0.2) and host1 (" + l.Hosts()[0].Address() + ") do not reach each other, because one is at an IPv4 address and the other at an IPv6 one; give"},
		"-i", "mixed.yml", "up", "-d")
	for host, out := range w.onHosts("docker", "ps", "-aq") {
		if out != "" {
			t.Errorf("refused, berth has left containers on %s: %s", host, out)
		}
	}

	w.must("up", "-d")
	all := w.everyAddress()
	for from := 1; from <= 3; from++ {
		web := w.container("web", from)
		eventually(t, web+" knows all three tasks", func() bool { return len(w.resolve(web, "web")) == 3 })
		for _, to := range all {
			// As large as the network carries, which is 20 bytes less than over IPv4.
			size := "1402"
			if to.network == "safe" {
				size = "1322"
			}
			eventually(t, web+" reaches "+to.ip+" on "+to.network, func() bool {
				_, err := w.exec(web, "ping", "-c", "1", "-W", "1", "-s", size, to.ip)
				return err == nil
			})
		}
	}
	for _, h := range l.Hosts() {
		entries := w.on(h.Name(), "bridge", "fdb", "show")
		for _, m := range regexp.MustCompile(` dst (\S+)`).FindAllStringSubmatch(entries, -1) {
			if vtep := netip.MustParseAddr(m[1]); !vtep.Is6() {
				t.Errorf("%s: a tunnel leads to %s", h.Name(), vtep)
			}
		}
		if mtu := w.on(h.Name(), "docker", "network", "inspect", "-f", `{{index .Options "com.docker.network.driver.mtu"}}`, w.project+"_plain"); mtu != "1430" {
			t.Errorf("%s: the network has an MTU of %s, want 70 bytes less than 1500", h.Name(), mtu)
		}
		r, err := caller.Get("http://[" + h.Address() + "]:18080/")
		if err != nil {
			t.Fatalf("the port on every host: %v", err)
		}
		r.Body.Close()
	}
	if out := w.must("port", "web", "8000").out; out != "["+l.Hosts()[0].Address()+"]:18080\n" {
		t.Errorf("port: %s", out)
	}
	if r := w.must("store", "status"); strings.Count(r.out, "]:23579") != 3 {
		t.Errorf("the store's members are elsewhere: %s", r)
	}
	if r := w.must("hosts"); r.err != "" {
		t.Errorf("the agents find something wrong: %s", r.err)
	}
}

// placed is an address of a task.
type placed struct{ network, ip string }

// everyAddress lists the addresses of all tasks.
func (w *world) everyAddress() (all []placed) {
	w.t.Helper()
	for name, r := range w.ps() {
		for _, network := range []string{"plain", "safe"} {
			all = append(all, placed{network, w.on(r.Host, "docker", "inspect", "-f", `{{(index .NetworkSettings.Networks "`+w.project+"_"+network+`").IPAddress}}`, name)})
		}
	}
	return all
}

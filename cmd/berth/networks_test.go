package main_test

import (
	"context"
	"strings"
	"testing"

	"berth/fixtures/lab/lab"
)

// on runs a command on one host.
func (w *world) on(host string, args ...string) string {
	w.t.Helper()
	h, err := w.lab.Host(host)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := h.Run(context.WithoutCancel(w.t.Context()), args...) // cleaning up uses it too
	if err != nil {
		w.t.Fatalf("%s: %v: %v", host, args, err)
	}
	return strings.TrimSpace(out)
}

// says runs a command in a container, which has to print each of the texts.
func (w *world) says(container string, texts []string, args ...string) {
	w.t.Helper()
	out, err := w.exec(container, args...)
	for _, text := range texts {
		if !strings.Contains(out, text) {
			w.t.Errorf("%s: %v does not print %q: %s %v", container, args, text, out, err)
		}
	}
}

// reaches pings from a container, and again while names and ports settle.
func (w *world) reaches(from, to string) {
	w.t.Helper()
	eventually(w.t, from+" reaches "+to, func() bool {
		_, err := w.exec(from, "ping", "-c", "1", "-W", "1", to)
		return err == nil
	})
}

func TestNetworksAreAsTheFileSaysOnThreeHosts(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.Images("busybox"))
	w := newWorld(t, l, base+`
services:
  web:
    <<: *base
    deploy: {mode: global}
    networks: [given]
  db:
    <<: *base
    mac_address: "02:42:aa:bb:cc:01"
    networks: {given: {ipv4_address: 10.77.0.9, ipv6_address: "fd77::9"}}
  both:
    <<: *base
    networks: {zeta: {priority: 100}, alpha: {}, inner: {priority: 500}}
  inside:
    <<: *base
    networks: [inner]
  hosted: {<<: *base, network_mode: host}
  alone: {<<: *base, network_mode: none}
  lan: {<<: *base, networks: {lan: {ipv4_address: 10.99.0.7}}}
  outside: {<<: *base, networks: [outside], deploy: {placement: {constraints: [node.hostname == host2]}}}
networks:
  given:
    enable_ipv6: true
    ipam: {config: [{subnet: 10.77.0.0/24, ip_range: 10.77.0.64/26, gateway: 10.77.0.64, aux_addresses: {router: 10.77.0.65}}, {subnet: "fd77::/64"}]}
  alpha: {attachable: true}
  zeta: {}
  inner: {internal: true, enable_ipv6: true}
  lan: {driver: macvlan, driver_opts: {parent: eth0}, ipam: {config: [{subnet: 10.99.0.0/24}]}}
  outside: {external: true, name: outside}
`)
	w.refused([]string{`external network "outside" does not exist here`}, "up", "-d")
	w.on("host2", "docker", "network", "create", "outside")
	w.must("up", "-d")

	db := w.container("db", 1)
	w.says(db, []string{"inet 10.77.0.9/24", "inet6 fd77::9/64", "02:42:aa:bb:cc:01"}, "ip", "addr", "show", "eth0")
	for n := 1; n <= 3; n++ {
		web := w.container("web", n)
		for _, to := range []string{"10.77.0.9", "fd77::9", "db"} {
			w.reaches(web, to)
		}
		for _, a := range w.resolve(db, web) {
			if !strings.HasPrefix(a, "10.77.0.") && !strings.HasPrefix(a, "fd77::") || a == "10.77.0.64" || a == "10.77.0.65" {
				t.Errorf("%s has the address %s", web, a)
			}
		}
	}

	both, inside := w.container("both", 1), w.container("inside", 1)
	w.reaches(inside, "both")
	for _, h := range l.Hosts() {
		if h.Name() == w.homes[inside] || h.Name() == w.homes[both] {
			continue
		}
		w.reaches(both, h.Address())
		if out, err := w.exec(inside, "ping", "-c", "1", "-W", "1", h.Address()); err == nil {
			t.Errorf("from an internal network alone another machine is reached: %s", out)
		}
	}
	gateway := w.on(w.homes[both], "docker", "inspect", "-f", `{{with index .NetworkSettings.Networks "`+w.project+`_alpha"}}{{.Gateway}}{{end}}`, both)
	w.says(both, []string{"default via " + gateway + " "}, "ip", "route") // docker's rule: the name that comes first, internal ones left out

	w.says(w.container("hosted", 1), []string{": docker0"}, "ip", "-o", "link")
	if out, err := w.exec(w.container("alone", 1), "ip", "-o", "link"); err != nil || strings.Count(out, "\n") != 1 {
		t.Errorf("network_mode: none has links: %s %v", out, err)
	}
	w.says(w.container("lan", 1), []string{"inet 10.99.0.7/24"}, "ip", "addr", "show", "eth0")
	if home := w.hostsOf("outside"); len(home) != 1 || home[0] != "host2" {
		t.Errorf("what uses a network of host2's own is on %v", home)
	}

	// A route that comes to lie over a network is told.
	w.on("host1", "ip", "route", "add", "10.77.0.128/25", "dev", "eth0")
	t.Cleanup(func() { w.on("host1", "ip", "route", "del", "10.77.0.128/25") })
	w.on("host1", "docker", "network", "create", "nudge") // an engine's network is a route as well: the agent looks at once
	eventually(t, "the hosts' list tells of the route", func() bool {
		return strings.Contains(w.must("hosts").err, "host host1: its route 10.77.0.128/25 lies over network "+w.project+"_given (10.77.0.0/24)")
	})
}

func TestNetworksStandBesideSwarmsAndOthersRules(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(2), lab.Images("busybox"))
	first, err := l.Host("host1")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, l, base+"services: {web: {<<: *base, deploy: {mode: global}}}")
	// What others have on a host: a bridge, a VXLAN port, a route and rules.
	for _, args := range []string{
		"ip link add br-other type bridge", "ip link add vx-other type vxlan id 77 dstport 8472 dev eth0", "ip link set br-other up",
		"ip route add 192.0.2.0/24 dev br-other", "iptables -N OTHER", "iptables -A OTHER -s 192.0.2.0/24 -j DROP", "nft add table inet other",
		"nft add chain inet other input { type filter hook input priority 10 ; }", "nft add rule inet other input ip saddr 192.0.2.9 drop",
	} {
		w.on("host1", strings.Fields(args)...)
	}
	t.Cleanup(func() {
		for _, args := range []string{"iptables -F OTHER", "iptables -X OTHER", "nft delete table inet other", "ip link del br-other", "ip link del vx-other"} {
			w.on("host1", strings.Fields(args)...)
		}
	})
	foreign := func() string {
		return w.on("host1", "sh", "-c", "iptables-save -t filter | grep OTHER; nft list table inet other; ip -o link show br-other; ip -o -d link show vx-other; ip route show dev br-other")
	}
	was := foreign()

	// Swarm's overlay of the same hosts, on the same UDP port.
	w.on("host1", "docker", "swarm", "init", "--advertise-addr", first.Address())
	t.Cleanup(func() {
		for _, host := range []string{"host2", "host1"} {
			w.on(host, "docker", "swarm", "leave", "--force")
		}
	})
	token := w.on("host1", "docker", "swarm", "join-token", "-q", "worker")
	w.on("host2", "docker", "swarm", "join", "--token", token, first.Address()+":2377")
	w.on("host1", "docker", "network", "create", "-d", "overlay", "--attachable", "swarmed")
	for _, host := range []string{"host1", "host2"} {
		w.on(host, "docker", "run", "-d", "--name", "swarm-"+host, "--network", "swarmed", lab.Busybox, "sleep", "1000")
		t.Cleanup(func() { w.on(host, "docker", "rm", "-f", "swarm-"+host) })
	}
	w.must("up", "-d")
	swarm := func() bool {
		_, err := first.Run(t.Context(), "docker", "exec", "swarm-host1", "ping", "-c", "1", "-W", "1", "swarm-host2")
		return err == nil
	}
	w.reaches(w.container("web", 1), w.container("web", 2))
	eventually(t, "Swarm's containers reach each other beside berth's", swarm)

	// The agent dies, and what it made goes all the same when it is back; nothing else does.
	w.on("host1", "docker", "kill", "-s", "KILL", "berth-agent")
	w.on("host1", "docker", "start", "berth-agent")
	w.must("down", "-t", "0")
	for host, out := range w.onHosts("sh", "-c", "ip -o link show group 47890; docker network ls -q --filter label=berth.network") {
		if strings.TrimSpace(out) != "" {
			t.Errorf("%s: left behind: %s", host, out)
		}
	}
	if now := foreign(); strings.Join(strings.Fields(now), " ") != strings.Join(strings.Fields(was), " ") {
		t.Errorf("what others had was\n%s\nand is\n%s", was, now)
	}
	eventually(t, "Swarm's containers reach each other without berth's", swarm)
}

package main_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"berth/fixtures/lab/lab"
	"berth/placement"
)

const encryptedCompose = base + `
services:
  one:
    <<: *base
    networks: [safe, plain]
    deploy: {placement: {constraints: [node.hostname == host1]}}
  two:
    <<: *base
    networks: [safe, plain]
    deploy: {placement: {constraints: [node.hostname == host2]}}
networks:
  safe: {driver_opts: {encrypted: "true"}}
  plain:
`

// secrecy is a project with an encrypted network and one that is not, between containers on host1 and host2.
type secrecy struct {
	*world
	one, two, three *lab.Host
	safe, plain     netip.Addr // two's addresses
}

func newSecrecy(t *testing.T) *secrecy {
	s := &secrecy{world: threeHosts(t, encryptedCompose)}
	s.one, s.two, s.three = s.lab.Hosts()[0], s.lab.Hosts()[1], s.lab.Hosts()[2]
	s.must("up", "-d")
	s.safe, s.plain = s.address("safe"), s.address("plain")
	return s
}

// address is that of two's container on a network.
func (s *secrecy) address(network string) netip.Addr {
	s.t.Helper()
	out, err := s.two.Run(s.t.Context(), "docker", "inspect", "-f", fmt.Sprintf(`{{(index .NetworkSettings.Networks "%s_%s").IPAddress}}`, s.project, network), s.container("two", 1))
	if err != nil {
		s.t.Fatal(err)
	}
	return netip.MustParseAddr(strings.TrimSpace(out))
}

func (s *secrecy) vni(network string) uint32 {
	s.t.Helper()
	out, err := s.one.Run(s.t.Context(), "docker", "network", "inspect", "-f", `{{index .Labels "berth.network"}}`, s.project+"_"+network)
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(out), 10, 32)
	if err != nil {
		s.t.Fatal(err)
	}
	return uint32(n)
}

// reaches says whether one gets an answer of two, to a packet filled with a byte.
func (s *secrecy) reaches(to netip.Addr, fill byte) bool {
	_, err := s.one.Run(s.t.Context(), "docker", "exec", s.container("one", 1), "ping", "-c", "1", "-W", "1", "-s", "400", "-p", fmt.Sprintf("%x", fill), to.String())
	return err == nil
}

// on runs a command on a host; it has to succeed.
func (s *secrecy) on(h *lab.Host, args ...string) string {
	s.t.Helper()
	out, err := h.Run(s.t.Context(), args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// stream pings the other container on the encrypted network without a pause between work's begin and end, and returns
// how many packets were sent and answered.
func (s *secrecy) stream(fill byte, work func()) (sent, answered int) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	cmd, err := s.one.Command(ctx, "docker", "exec", s.container("one", 1),
		"sh", "-c", fmt.Sprintf("rm -f /stop; ping -i 0.01 -s 400 -p %x %s & while [ ! -e /stop ]; do sleep 0.05; done; kill -INT $!; wait", fill, s.safe))
	if err != nil {
		s.t.Fatal(err)
	}
	var out syncBuffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the stream flows", func() bool { return strings.Count(out.String(), "bytes from") > 20 })
	work()
	flows := strings.Count(out.String(), "bytes from")
	eventually(s.t, "the stream goes on", func() bool { return strings.Count(out.String(), "bytes from") > flows+20 })
	s.on(s.one, "docker", "exec", s.container("one", 1), "touch", "/stop")
	if err := cmd.Wait(); err != nil {
		s.t.Fatalf("%v: %s", err, out.String())
	}
	m := regexp.MustCompile(`(\d+) packets transmitted, (\d+) packets received`).FindStringSubmatch(out.String())
	if m == nil {
		s.t.Fatalf("no summary: %s", out.String())
	}
	sent, _ = strconv.Atoi(m[1])
	answered, _ = strconv.Atoi(m[2])
	return sent, answered
}

// What no step below may show to the wire, and what shows that the wire is heard.
const secretFill, openFill, forgedFill = 0xa7, 0xb6, 0xc5

func TestAnEncryptedNetworkShowsNothingToTheWire(t *testing.T) {
	t.Parallel()
	s := newSecrecy(t)
	wires := []*capture{listenOn(t, s.one, "eth0", marked(secretFill), marked(openFill)), listenOn(t, s.two, "eth0", marked(secretFill), marked(openFill))}
	quiet := func(when string) {
		t.Helper()
		for i, w := range wires {
			if n := w.count(marked(secretFill)); n > 0 {
				t.Fatalf("%s: %d frames on the wire of %s are plaintext of the encrypted network", when, n, s.lab.Hosts()[i].Name())
			}
		}
	}
	reached := func(when string) {
		t.Helper()
		eventually(t, when+": two is reached", func() bool { return s.reaches(s.safe, secretFill) })
		quiet(when)
	}
	reached("after up")
	if out, err := s.exec(s.container("one", 1), "ping", "-c", "1", "-W", "5", "two"); err != nil {
		t.Errorf("not by name: %v: %s", err, out)
	}
	eventually(t, "the plain network is heard", func() bool {
		return s.reaches(s.plain, openFill) && wires[0].count(marked(openFill)) > 0 && wires[1].count(marked(openFill)) > 0
	})

	sent, answered := s.stream(secretFill, func() { s.must("store", "rotate-keys") })
	t.Logf("a rotation under a stream: %d packets sent, %d answered", sent, answered)
	if answered < sent*9/10 {
		t.Errorf("a rotation lost traffic: %d packets sent, %d answered", sent, answered)
	}
	quiet("rotation")

	sent, answered = s.stream(secretFill, func() {
		for _, h := range []*lab.Host{s.one, s.two} {
			s.on(h, "docker", "kill", "-s", "KILL", "berth-agent")
		}
		if !s.reaches(s.safe, secretFill) {
			t.Error("encrypted traffic does not outlive the agents")
		}
		for _, h := range []*lab.Host{s.one, s.two} {
			s.on(h, "docker", "start", "berth-agent")
		}
	})
	t.Logf("agents killed and started under a stream: %d packets sent, %d answered", sent, answered)
	if answered < sent*9/10 {
		t.Errorf("agents that come back lost traffic: %d packets sent, %d answered", sent, answered)
	}
	quiet("agent killed")

	s.on(s.two, "ip", "link", "delete", "berthwg0")
	reached("device deleted")
	s.on(s.one, "docker", "kill", "-s", "KILL", "berth-wireguard")
	s.on(s.one, "docker", "start", "berth-wireguard")
	reached("device's process killed")
	s.on(s.one, "docker", "rm", "-f", "berth-wireguard", "berth-agent")
	s.reaches(s.safe, secretFill) // no answer can come, and nothing may be sent
	quiet("no device and no agent")
	s.must("up", "-d") // puts the agent back
	reached("agent and device made anew")

	s.forged()
	s.gone()
}

// forged sends frames with both networks' numbers from a host of the cluster that is on neither.
func (s *secrecy) forged() {
	s.t.Helper()
	safe, plain := s.vni("safe"), s.vni("plain")
	mac := [6]byte{2, 0x42, 1, 2, 3, 4}
	wire := listenOn(s.t, s.one, "eth0", marked(forgedFill))
	into := listenOn(s.t, s.one, fmt.Sprintf("vx%d", safe), marked(forgedFill))
	open := listenOn(s.t, s.one, fmt.Sprintf("vx%d", plain), marked(forgedFill))
	forge(s.t, s.three, s.one, safe, mac, marked(forgedFill))
	eventually(s.t, "the forged frames arrive", func() bool { return wire.count(marked(forgedFill)) >= 2 })
	forge(s.t, s.three, s.one, plain, mac, marked(forgedFill))
	eventually(s.t, "the plain network takes a forged frame in, so that the test can tell", func() bool { return open.count(marked(forgedFill)) > 0 })
	if n := into.count(marked(forgedFill)); n > 0 {
		s.t.Errorf("the encrypted network took in %d forged plaintext frames", n)
	}
}

// gone takes the project down and looks for what is left.
func (s *secrecy) gone() {
	s.t.Helper()
	s.must("down")
	for _, h := range s.lab.Hosts() {
		eventually(s.t, "nothing is left on "+h.Name(), func() bool {
			links := s.on(h, "ip", "-br", "link", "show")
			containers := s.on(h, "docker", "ps", "-aq", "--filter", "name=berth-wireguard")
			files := s.on(h, "sh", "-c", `ls "$(docker volume inspect -f '{{.Mountpoint}}' berth-agent)"`)
			return !strings.Contains(links, "berthwg") && containers == "" && !strings.Contains(files, "wireguard")
		})
	}
	eventually(s.t, "no host says it has a key", func() bool { return !strings.Contains(s.must("store", "dump").out, `"wireguard"`) })
}

func TestAHostThatWasAwayWorksAgainAndAClosedPortIsTold(t *testing.T) {
	t.Parallel()
	s := newSecrecy(t)
	eventually(t, "two is reached", func() bool { return s.reaches(s.safe, secretFill) })
	s.on(s.two, "docker", "stop", "-t", "0", "berth-agent")
	s.must("store", "rotate-keys") // returns when the host counts as away
	s.on(s.two, "docker", "start", "berth-agent")
	eventually(t, "two is reached under new keys", func() bool { return s.reaches(s.safe, secretFill) })

	// It loses power, and with it its key. When it is back, nothing comes from it: said to the other host, because this
	// one's agent may be up before a rule is.
	rule := []string{"INPUT", "-s", s.two.Address(), "-p", "udp", "--dport", "23581", "-j", "DROP"}
	s.on(s.one, append([]string{"iptables", "-I"}, rule...)...)
	if err := s.two.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.two.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.must("up", "-d")
	eventually(t, "the host that is not reached is named", func() bool {
		r := s.must("hosts")
		return strings.Contains(r.err, "host host1: encrypted networks do not reach host2") && strings.Contains(r.err, "UDP port 23581")
	})
	if log := s.on(s.one, "sh", "-c", "docker logs berth-agent 2>&1"); !strings.Contains(log, "no WireGuard handshake completes") {
		t.Errorf("the agent's log does not say it:\n%s", log)
	}
	s.on(s.one, append([]string{"iptables", "-D"}, rule...)...)
	eventually(t, "two is reached after a power cut", func() bool { return s.reaches(s.safe, secretFill) })
}

func TestEncryptionIsChosenWhenANetworkIsMade(t *testing.T) {
	t.Parallel()
	s := &secrecy{world: threeHosts(t, encryptedCompose)}
	s.must("up", "-d")
	for _, value := range []string{`"false"`, `""`} {
		s.write("compose.yml", strings.Replace(encryptedCompose, `"true"`, value, 1))
		s.refused([]string{"network " + s.project + "_safe", "driver_opts have changed", "berth down first"}, "up", "-d")
	}
	s.write("compose.yml", strings.Replace(encryptedCompose, `"true"`, "perhaps", 1))
	s.must("down")
	s.refused([]string{`encrypted: "perhaps" is neither "true" nor "false"`}, "up", "-d")
	for value, want := range map[string]bool{`"false"`: false, `""`: true} {
		s.write("compose.yml", strings.Replace(encryptedCompose, `"true"`, value, 1))
		s.must("up", "-d")
		n := placement.Network{Options: map[string]string{"encrypted": strings.Trim(value, `"`)}}
		link := s.on(s.lab.Hosts()[0], "ip", "-d", "link", "show", fmt.Sprintf("vx%d", s.vniOn("safe")))
		if got := bytes.Contains([]byte(link), []byte("dev berthwg0")); got != want || n.Encrypted() != want {
			t.Errorf("encrypted: %s: on the WireGuard device: %v, want %v", value, got, want)
		}
		s.must("down")
	}
}

func (s *secrecy) vniOn(network string) uint32 {
	s.one = s.lab.Hosts()[0]
	return s.vni(network)
}

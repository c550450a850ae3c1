package ingress

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const hostPort = "10.99.0.2:80"

func TestAPortLeadsToAllTasksAndLocalOnesSeeTheCaller(t *testing.T) {
	w := newWorld(t)
	w.apply(state(1, 2))
	for _, network := range []string{"tcp4", "udp4"} {
		want := map[string]bool{"1 10.99.0.1": true, "2 10.128.0.254": true}
		if got := w.sees(w.client, network, hostPort); !maps.Equal(got, want) {
			t.Errorf("%s: the tasks see %v, want %v", network, got, want)
		}
		if got := w.sees(w.host, network, hostPort); len(got) != 2 {
			t.Errorf("%s: the host itself reaches %v", network, got)
		}
		// Called from a task: by way of the host, or the other would answer it directly.
		if got, want := w.sees(w.tasks[0], network, hostPort), map[string]bool{"1 10.128.0.254": true, "2 10.128.0.254": true}; !maps.Equal(got, want) {
			t.Errorf("%s: called from task 1 they see %v, want %v", network, got, want)
		}
	}
	w.apply(state(2))
	if got := w.sees(w.client, "tcp4", hostPort); !maps.Equal(got, map[string]bool{"2 10.128.0.254": true}) {
		t.Errorf("without task 1 %v answer", got)
	}
	w.apply(state())
	inside(t, w.client, func() {
		if c, err := net.DialTimeout("tcp4", hostPort, 5*time.Second); err == nil {
			c.Close()
			t.Error("nothing serves, and yet somebody answers")
		}
	})
}

func TestWhatIsNotTheHostsAddressIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	inside(t, w.host, func() { // the gateway is where the name server listens, and 10.99.0.1 is elsewhere
		l, err := net.Listen("tcp4", "10.128.0.254:80")
		must(t, err)
		t.Cleanup(func() { l.Close() })
		run(t, "iptables", "-A", "FORWARD", "-i", bridge, "-j", "ACCEPT")
	})
	inside(t, w.client, func() {
		l, err := net.Listen("tcp4", ":80")
		must(t, err)
		t.Cleanup(func() { l.Close() })
		must(t, netlink.RouteAdd(&netlink.Route{Dst: &net.IPNet{IP: net.IPv4(10, 128, 0, 0), Mask: net.CIDRMask(24, 32)}, Gw: net.IPv4(10, 99, 0, 2)}))
	})
	w.apply(state(1, 2))
	for _, to := range []string{"10.128.0.254:80", "10.99.0.1:80"} {
		for range 10 {
			inside(t, w.tasks[0], func() {
				c, err := net.DialTimeout("tcp4", to, 5*time.Second)
				must(t, err)
				defer c.Close()
				must(t, c.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
				if n, err := c.Read(make([]byte, 100)); n > 0 || !os.IsTimeout(err) { // a listener that nobody accepts from says nothing
					t.Errorf("a task answers what a container calls at %s", to)
				}
			})
		}
	}
}

func TestAUDPCallerIsNotLeftWithATaskThatIsGone(t *testing.T) {
	w := newWorld(t)
	task := func(n int) netip.AddrPort { return backends(n)[0].Addr }
	var c net.Conn
	inside(t, w.client, func() {
		var err error
		c, err = net.Dial("udp4", hostPort)
		must(t, err)
	})
	defer c.Close()
	// A caller from before the port was published.
	_, err := c.Write([]byte("?"))
	must(t, err)
	w.apply(state(1))
	must(t, w.in.DropFlows(Flows{Opened: map[uint16]bool{80: true}}))
	// The refusal of the first packet may still come.
	if !says(c, "1 10.99.0.1") {
		t.Fatal("a caller from before the port was published is not answered")
	}
	// Its task gets nothing new, and runs on.
	w.apply(state(2))
	if !says(c, "1 10.99.0.1") {
		t.Error("a flow left its task, though nobody said so")
	}
	must(t, w.in.DropFlows(Flows{Left: map[netip.AddrPort]bool{task(1): true}}))
	if !says(c, "2 10.128.0.254") {
		t.Error("the caller is left with a task that gets nothing new")
	}
	w.apply(state(1))
	must(t, w.in.DropFlows(Flows{Gone: map[netip.AddrPort]bool{task(2): true}}))
	if !says(c, "1 10.99.0.1") {
		t.Error("the caller is left with a task that is gone")
	}
	// While nobody looked, its task was replaced.
	w.apply(state(2))
	must(t, w.in.DropFlows(Flows{Kept: map[netip.AddrPort]bool{task(2): true}, Subnets: []netip.Prefix{subnet}}))
	if !says(c, "2 10.128.0.254") {
		t.Error("the caller is left with a task of before")
	}
}

// says reports whether a UDP peer's next answer is as wanted; refusals of earlier packets do not count.
func says(c net.Conn, want string) bool {
	buf := make([]byte, 100)
	for range 3 {
		_, err := c.Write([]byte("?"))
		if err == nil {
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			var n int
			if n, err = c.Read(buf); err == nil {
				return string(buf[:n]) == want
			}
		}
		if !strings.Contains(err.Error(), "refused") {
			return false
		}
	}
	return false
}

// dump is the host's rules as people see them.
func (w *world) dump() string {
	var out string
	inside(w.t, w.host, func() {
		out = run(w.t, "iptables", "-S") + run(w.t, "iptables", "-t", "nat", "-S")
		tables, err := w.in.nft.ListTables()
		must(w.t, err)
		for _, t := range tables {
			out += fmt.Sprintln("table", t.Family, t.Name)
		}
	})
	return out
}

func TestOthersRulesStayAndComeFirst(t *testing.T) {
	w := newWorld(t)
	inside(t, w.host, func() {
		run(t, "iptables", "-t", "nat", "-S") // makes the table
		run(t, "iptables", "-I", "DOCKER-USER", "-s", "10.99.0.66", "-j", "DROP")
	})
	before := w.dump()
	w.apply(state(1, 2))
	inside(t, w.host, func() {
		want := []string{
			"-N DOCKER-USER", "-A DOCKER-USER -s 10.99.0.66/32 -j DROP",
			`-A DOCKER-USER -o bt+ -m conntrack --ctstate DNAT -m comment --comment "` + Comment + `" -j ACCEPT`,
			`-A DOCKER-USER -i bt+ -m conntrack --ctstate DNAT --ctdir REPLY -m comment --comment "` + Comment + `" -j ACCEPT`,
			"-A DOCKER-USER -j RETURN",
		}
		if got := strings.Split(strings.TrimSpace(run(t, "iptables", "-S", "DOCKER-USER")), "\n"); !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		// iptables goes on changing the chain.
		run(t, "iptables", "-I", "DOCKER-USER", "-s", "10.99.0.77", "-j", "DROP")
		run(t, "iptables", "-D", "DOCKER-USER", "-s", "10.99.0.77", "-j", "DROP")
		// Deleted as iptables prints it, it comes back.
		run(t, "iptables", "-D", "DOCKER-USER", "-o", "bt+", "-m", "conntrack", "--ctstate", "DNAT", "-m", "comment", "--comment", Comment, "-j", "ACCEPT")
	})
	must(t, w.in.Verify())
	w.apply(state(1, 2))
	if got := strings.Count(w.dump(), Comment); got != 2 {
		t.Errorf("%d rules of ours after one was deleted, want 2", got)
	}
	if got := w.sees(w.client, "tcp4", hostPort); len(got) != 2 {
		t.Errorf("after that %v answer", got)
	}
	w.apply(State{})
	if after := w.dump(); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

func TestWhatIsGoneIsWrittenAgain(t *testing.T) {
	w := newWorld(t)
	w.apply(state(1, 2))
	w.in.nft.DelTable(table())
	must(t, w.in.nft.Flush())
	must(t, w.in.Verify())
	w.apply(state(1, 2))
	if got := w.sees(w.client, "tcp4", hostPort); len(got) != 2 {
		t.Errorf("after the table was deleted %v answer", got)
	}
}

func TestWhatAnEarlierLifeLeftIsTakenOver(t *testing.T) {
	w := newWorld(t)
	before := w.dump()
	w.apply(state(1, 2))
	w.in.Close() // what a process that is killed leaves
	if got := w.sees(w.client, "tcp4", hostPort); len(got) != 2 {
		t.Errorf("with nobody running %v answer", got)
	}
	w.open()
	w.apply(state(2))
	if got := w.sees(w.client, "tcp4", hostPort); len(got) != 1 {
		t.Errorf("taken over, %v answer", got)
	}
	w.in.Close()
	w.open()
	w.apply(State{})
	if after := w.dump(); strings.Contains(after, TableName) || strings.Contains(after, Comment) || !strings.HasPrefix(after, before[:20]) {
		t.Errorf("left behind:\n%s", after)
	}
}

func TestAPortThatSomethingListensOnIsAProblem(t *testing.T) {
	w := newWorld(t)
	inside(t, w.host, func() {
		l, err := net.Listen("tcp", ":81")
		must(t, err)
		defer l.Close()
		s := state(1, 2)
		s.Ports = append(s.Ports, Port{Published: 81, Protocol: "tcp", Backends: backends(1)})
		problems, err := w.in.Apply(s)
		must(t, err)
		if len(problems) != 1 || !strings.Contains(problems["81/tcp"], "something else on the host listens on it") {
			t.Errorf("problems %v", problems)
		}
		chains, err := w.in.nft.ListChains()
		must(t, err)
		if slices.ContainsFunc(chains, func(c *nftables.Chain) bool { return c.Name == "tcp-81" }) {
			t.Error("calls of the other program are taken from it")
		}
		must(t, l.Close())
		if problems, err = w.in.Apply(s); err != nil || len(problems) > 0 {
			t.Errorf("once it is free: %v, %v", problems, err)
		}
	})
	if got := w.sees(w.client, "tcp4", hostPort); len(got) != 2 {
		t.Errorf("the other port: %v answer", got)
	}
}

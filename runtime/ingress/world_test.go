package ingress

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// world is a client, a host with a network's bridge, and two tasks on that bridge. Task 1 has the host as its gateway, as
// tasks of the host have. Task 2 stands for one of another host: it knows no way but to the network itself.
type world struct {
	t      *testing.T
	client netns.NsHandle // 10.99.0.1
	host   netns.NsHandle // 10.99.0.2, and 10.128.0.254 on bt1048576
	tasks  [2]netns.NsHandle
	in     *Ingress
}

const bridge = "bt1048576"

var subnet = netip.MustParsePrefix("10.128.0.0/24")

func newWorld(t *testing.T) *world { return newWorldWith(t, "iptables") }

// newWorldWith is newWorld with an engine that uses another iptables.
func newWorldWith(t *testing.T, iptables string) *world {
	t.Helper()
	if unix.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	w := &world{t: t, client: namespace(t), host: namespace(t)}
	w.link(w.client, "10.99.0.1/24", "eth0")
	inside(t, w.host, func() {
		must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge}}))
		addAddress(t, bridge, "10.128.0.254/24")
		addAddress(t, "eth0", "10.99.0.2/24")
		// The thread's namespace is the one that /proc/sys shows.
		must(t, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0))
		if err := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("0"), 0); !errors.Is(err, fs.ErrNotExist) {
			must(t, err) // as package overlay has it
		}
		// What an engine has there: all that is forwarded is dropped unless it says otherwise.
		for _, rule := range []string{"-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-A FORWARD -j DOCKER-USER",
			"-A FORWARD -o " + bridge + " -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
			"-A FORWARD -i " + bridge + " ! -o " + bridge + " -j ACCEPT", "-P FORWARD DROP"} {
			run(t, iptables, strings.Fields(rule)...)
		}
	})
	for i := range w.tasks {
		w.tasks[i] = namespace(t)
		port := fmt.Sprintf("veth%d", i)
		w.link(w.tasks[i], fmt.Sprintf("10.128.0.%d/24", i+1), port)
		inside(t, w.host, func() {
			br, err := netlink.LinkByName(bridge)
			must(t, err)
			l, err := netlink.LinkByName(port)
			must(t, err)
			must(t, netlink.LinkSetMaster(l, br))
		})
		w.serve(i)
	}
	inside(t, w.tasks[0], func() {
		must(t, netlink.RouteAdd(&netlink.Route{Gw: net.IPv4(10, 128, 0, 254)}))
	})
	w.open()
	return w
}

// open begins an Ingress on the host, as an agent does.
func (w *world) open() {
	inside(w.t, w.host, func() {
		var err error
		w.in, err = Open(Config{Log: slog.New(slog.DiscardHandler)})
		must(w.t, err)
		w.t.Cleanup(w.in.Close)
	})
}

// link joins a namespace with the host: eth0 there, name on the host, both up.
func (w *world) link(ns netns.NsHandle, addr, name string) {
	w.t.Helper()
	inside(w.t, w.host, func() {
		must(w.t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns)}))
		l, err := netlink.LinkByName(name)
		must(w.t, err)
		must(w.t, netlink.LinkSetUp(l))
	})
	inside(w.t, ns, func() { addAddress(w.t, "eth0", addr) })
}

// serve answers calls to port 8000 of a task, TCP and UDP, with its number and whom it sees.
func (w *world) serve(task int) {
	inside(w.t, w.tasks[task], func() {
		l, err := net.Listen("tcp4", ":8000")
		must(w.t, err)
		u, err := net.ListenPacket("udp4", ":8000")
		must(w.t, err)
		done := make(chan struct{}, 2)
		w.t.Cleanup(func() {
			l.Close()
			u.Close()
			<-done
			<-done
		})
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "%d %s", task+1, c.RemoteAddr().(*net.TCPAddr).IP)
				c.Close()
			}
		}()
		go func() {
			defer func() { done <- struct{}{} }()
			buf := make([]byte, 100)
			for {
				_, from, err := u.ReadFrom(buf)
				if err != nil {
					return
				}
				_, _ = u.WriteTo(fmt.Appendf(nil, "%d %s", task+1, from.(*net.UDPAddr).IP), from)
			}
		}()
	})
}

// backends are tasks by number; task 2 is elsewhere.
func backends(tasks ...int) []Backend {
	var all []Backend
	for _, n := range tasks {
		all = append(all, Backend{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 128, 0, byte(n)}), 8000), Local: n == 1})
	}
	return all
}

// state is that of port 80, TCP and UDP, leading to tasks.
func state(tasks ...int) State {
	return State{Subnets: []netip.Prefix{subnet}, Ports: []Port{
		{Published: 80, Protocol: "tcp", Backends: backends(tasks...)}, {Published: 80, Protocol: "udp", Backends: backends(tasks...)},
	}}
}

func (w *world) apply(s State) {
	w.t.Helper()
	inside(w.t, w.host, func() {
		problems, err := w.in.Apply(s)
		must(w.t, err)
		if len(problems) > 0 {
			w.t.Fatalf("problems %v", problems)
		}
	})
}

// sees calls the host's port several times and returns what the tasks said, each once: "1 10.99.0.1".
func (w *world) sees(ns netns.NsHandle, network, at string) map[string]bool {
	w.t.Helper()
	all := map[string]bool{}
	for range 20 {
		inside(w.t, ns, func() {
			c, err := net.DialTimeout(network, at, 5*time.Second)
			must(w.t, err)
			defer c.Close()
			all[say(w.t, c)] = true
		})
	}
	return all
}

// say has one exchange on a connection.
func say(t *testing.T, c net.Conn) string {
	t.Helper()
	must(t, c.SetDeadline(time.Now().Add(5*time.Second)))
	if _, udp := c.(*net.UDPConn); udp {
		_, err := c.Write([]byte("?"))
		must(t, err)
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		must(t, err)
		return string(buf[:n])
	}
	b, err := io.ReadAll(c)
	must(t, err)
	return string(b)
}

func namespace(t *testing.T) netns.NsHandle {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := netns.Get()
	must(t, err)
	defer old.Close()
	ns, err := netns.New()
	must(t, err)
	must(t, netns.Set(old))
	t.Cleanup(func() { ns.Close() })
	inside(t, ns, func() {
		lo, err := netlink.LinkByName("lo")
		must(t, err)
		must(t, netlink.LinkSetUp(lo))
	})
	return ns
}

// inside runs f in a network namespace.
func inside(t *testing.T, ns netns.NsHandle, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := netns.Get()
	must(t, err)
	defer old.Close()
	must(t, netns.Set(ns))
	defer func() { must(t, netns.Set(old)) }()
	f()
}

func addAddress(t *testing.T, name, addr string) {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	a, err := netlink.ParseAddr(addr)
	must(t, err)
	must(t, netlink.AddrAdd(l, a))
	must(t, netlink.LinkSetUp(l))
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

package wireguard

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"berth/fixtures/lab/lab"
)

// asDevice, as first argument, makes the test binary the userspace device; the second is its socket.
const asDevice = "device-under-test"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == asDevice {
		if err := Serve(context.Background(), os.Args[2], slog.New(slog.DiscardHandler)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// host is a network namespace with a device in it. It is its own launcher.
type host struct {
	t       testing.TB
	name    string
	ns      netns.NsHandle
	addr    netip.Addr
	socket  string
	device  *Device
	process *exec.Cmd // nil while none runs
	ended   chan error
	starts  int
}

func (h *host) Start(context.Context) error {
	if h.process != nil {
		select {
		case <-h.ended:
		default:
			return nil
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd, ended := exec.Command(self, asDevice, h.socket), make(chan error, 1)
	cmd.Stderr = os.Stderr
	h.inside(func() { err = cmd.Start() }) // it inherits the thread's namespace
	if err != nil {
		return err
	}
	h.process, h.ended = cmd, ended
	h.starts++
	go func() { ended <- cmd.Wait(); close(ended) }()
	return nil
}

func (h *host) Stop(context.Context) error {
	if h.process == nil {
		return nil
	}
	_ = h.process.Process.Kill()
	<-h.ended
	h.process = nil
	return os.RemoveAll(filepath.Dir(h.socket))
}

func (h *host) inside(f func()) {
	h.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := netns.Get()
	must(h.t, err)
	defer old.Close()
	must(h.t, netns.Set(h.ns))
	defer func() { must(h.t, netns.Set(old)) }()
	f()
}

// twoHosts are joined by a cable. The test needs root.
func twoHosts(t testing.TB) (a, b *host) {
	t.Helper()
	if unix.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	var hosts []*host
	for i, name := range []string{"a", "b"} {
		h := &host{t: t, name: name, addr: netip.AddrFrom4([4]byte{10, 99, 1, byte(1 + i)}), socket: filepath.Join(t.TempDir(), "wg", "control.sock")}
		runtime.LockOSThread()
		old, err := netns.Get()
		must(t, err)
		h.ns, err = netns.New()
		must(t, err)
		must(t, netns.Set(old))
		old.Close()
		runtime.UnlockOSThread()
		t.Cleanup(func() { h.ns.Close() })
		h.inside(func() {
			var err error
			h.device, err = Open(h.socket, h)
			must(t, err)
		})
		t.Cleanup(func() { must(t, h.Stop(context.Background())); h.device.Close() })
		hosts = append(hosts, h)
	}
	a, b = hosts[0], hosts[1]
	a.inside(func() {
		must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(b.ns)}))
	})
	for _, h := range hosts {
		h.inside(func() {
			l, err := netlink.LinkByName("eth0")
			must(t, err)
			must(t, netlink.LinkSetUp(l))
			must(t, netlink.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: h.addr.AsSlice(), Mask: net.CIDRMask(24, 32)}}))
		})
	}
	return a, b
}

func (h *host) ensure(peers ...Peer) Status {
	h.t.Helper()
	var s Status
	h.inside(func() {
		var err error
		s, err = h.device.Ensure(h.t.Context(), Want{Host: h.name, Port: DefaultPort, MTU: 1440, Peers: peers})
		must(h.t, err)
	})
	return s
}

func (h *host) peer(s Status, generation int) Peer {
	return Peer{Key: s.Key.PublicKey(), Address: Address(h.name, generation), Endpoint: netip.AddrPortFrom(h.addr, DefaultPort), Keep: true}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTwoDevicesShakeHandsAndAgainUnderAnotherKey(t *testing.T) {
	a, b := twoHosts(t)
	sa, sb := a.ensure(), b.ensure()
	shaken := func(s Status, with Key) bool { return !s.Peers[with].Handshake.IsZero() }
	a.ensure(b.peer(sb, 0))
	b.ensure(a.peer(sa, 0))
	if !lab.Happens(func() bool { return shaken(a.ensure(b.peer(sb, 0)), sb.Key.PublicKey()) }) {
		t.Fatal("no handshake")
	}
	again := a.ensure(b.peer(sb, 0))
	if again.Key != sa.Key || a.starts != 1 {
		t.Errorf("ensured again, the device has another key or process: %d processes", a.starts)
	}
	if p := again.Peers[sb.Key.PublicKey()]; p.Received == 0 || p.Sent == 0 {
		t.Errorf("a handshake of %d bytes there and %d back", p.Sent, p.Received)
	}

	next, err := NewKey()
	must(t, err)
	staged := Peer{Key: next.PublicKey(), Address: Address("a", 1), Endpoint: netip.AddrPortFrom(a.addr, DefaultPort)}
	b.ensure(a.peer(sa, 0), staged)
	a.inside(func() { must(t, a.device.Rekey(t.Context(), next)) })
	if !lab.Happens(func() bool { return shaken(b.ensure(a.peer(sa, 0), staged), next.PublicKey()) }) {
		t.Fatal("no handshake under the next key")
	}
}

func TestADeviceThatWasRemovedEndsItsProcessAndIsMadeAnew(t *testing.T) {
	a, _ := twoHosts(t)
	a.ensure()
	first := a.ended
	a.inside(func() {
		l, err := netlink.LinkByName(Name)
		must(t, err)
		must(t, netlink.LinkDel(l))
	})
	select {
	case <-first:
	case <-time.After(lab.Patience):
		t.Fatal("its process lives on")
	}
	a.ensure()
	if a.starts != 2 {
		t.Errorf("%d processes were started", a.starts)
	}
	a.inside(func() {
		must(t, a.device.Remove(t.Context()))
		must(t, a.device.Remove(t.Context())) // none is no error
		if _, err := netlink.LinkByName(Name); err == nil {
			t.Error("the link is left")
		}
	})
}

func TestAPortInUseIsTold(t *testing.T) {
	a, _ := twoHosts(t)
	a.inside(func() {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: DefaultPort})
		must(t, err)
		defer c.Close()
		_, err = a.device.Ensure(t.Context(), Want{Host: "a", Port: DefaultPort, MTU: 1440})
		if want := "wireguard: set up berthwg0: UDP port 23581 is in use on this host; set networks: {encryption: {port: …}} in hosts.yml"; err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	})
}

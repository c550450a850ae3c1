package wireguard

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"berth/fixtures/lab/lab"
)

// BenchmarkStream is one TCP stream between two hosts: over the cable, over a VXLAN tunnel in the clear, over the bare
// device, and over a VXLAN tunnel on the device, which is what an encrypted network is. It prints Gbit/s and what the
// two processes of the device took, CPU seconds for a gigabyte; "all" is with both ends of the stream, which bear much
// of the kernel's part.
func BenchmarkStream(b *testing.B) {
	x, y := twoHosts(b)
	sx, sy := x.ensure(), y.ensure()
	x.ensure(y.peer(sy, 0))
	y.ensure(x.peer(sx, 0))
	if !lab.Happens(func() bool { return !x.ensure(y.peer(sy, 0)).Peers[sy.Key.PublicKey()].Handshake.IsZero() }) {
		b.Fatal("no handshake")
	}
	for i, h := range []*host{x, y} {
		other := []*host{y, x}[i]
		h.tunnel("plain", "eth0", 1450, h.addr, other.addr, i)
		h.tunnel("sealed", Name, 1370, Address(h.name, 0), Address(other.name, 0), i)
	}
	zone := func(h *host, s Status) string { return Address(h.name, 0).String() + "%" + strconv.Itoa(s.Link) }
	for _, path := range []struct{ name, from, to string }{
		{"cable", x.addr.String(), y.addr.String()}, {"vxlan", inTunnel("plain", 0), inTunnel("plain", 1)},
		{"device", zone(x, sx), zone(y, sy)}, {"encrypted", inTunnel("sealed", 0), inTunnel("sealed", 1)},
	} {
		b.Run(path.name, func(b *testing.B) { stream(b, x, y, path.from, path.to) })
	}
}

// tunnel makes a VXLAN tunnel to the other host and gives it an address.
func (h *host) tunnel(name, device string, mtu int, from, to netip.Addr, i int) {
	h.t.Helper()
	h.inside(func() {
		under, err := netlink.LinkByName(device)
		must(h.t, err)
		tunnel := &netlink.Vxlan{
			LinkAttrs: netlink.LinkAttrs{Name: name, MTU: mtu}, VxlanId: 100 + len(name), VtepDevIndex: under.Attrs().Index,
			SrcAddr: from.AsSlice(), Group: to.AsSlice(), Port: 4789, UDP6ZeroCSumTx: to.Is6(), UDP6ZeroCSumRx: to.Is6(),
		}
		must(h.t, netlink.LinkAdd(tunnel))
		addr, err := netlink.ParseAddr(inTunnel(name, i) + "/24")
		must(h.t, err)
		must(h.t, netlink.AddrAdd(tunnel, addr))
		must(h.t, netlink.LinkSetUp(tunnel))
	})
}

func inTunnel(name string, i int) string { return fmt.Sprintf("10.98.%d.%d", len(name), 1+i) }

const piece = 1 << 20 // bytes, of what is sent in one iteration

func stream(b *testing.B, from, to *host, source, addr string) {
	var l net.Listener
	to.inside(func() {
		var err error
		l, err = net.Listen("tcp", net.JoinHostPort(addr, "0"))
		must(b, err)
	})
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		buf := make([]byte, piece)
		for err == nil {
			_, err = c.Read(buf)
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		done <- err
	}()
	var c net.Conn
	from.inside(func() {
		local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(source, "0"))
		must(b, err)
		c, err = (&net.Dialer{LocalAddr: local}).Dial("tcp", net.JoinHostPort(addr, strconv.Itoa(l.Addr().(*net.TCPAddr).Port)))
		must(b, err)
	})
	data := make([]byte, piece)
	for range 64 { // the window opens
		_, err := c.Write(data)
		must(b, err)
	}
	b.SetBytes(piece)
	before, began := processTime(b, from)+processTime(b, to), time.Now()
	all := ownTime()
	n := 0
	for b.Loop() {
		_, err := c.Write(data)
		must(b, err)
		n++
	}
	took, spent := time.Since(began), processTime(b, from)+processTime(b, to)-before
	all = ownTime() - all
	sent := float64(n) * piece
	b.ReportMetric(sent*8/1e9/took.Seconds(), "Gbit/s")
	b.ReportMetric(spent.Seconds()/(sent/1e9), "device-s/GB")
	b.ReportMetric((spent+all).Seconds()/(sent/1e9), "all-s/GB")
	if raw, err := c.(*net.TCPConn).SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
				b.ReportMetric(float64(info.Total_retrans)/(sent/1e9), "retrans/GB")
			}
		})
	}
	c.Close()
	must(b, <-done)
}

func ownTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// processTime is what the process of a host's device has taken, user and system.
func processTime(b *testing.B, h *host) time.Duration {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.process.Process.Pid))
	must(b, err)
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		must(b, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

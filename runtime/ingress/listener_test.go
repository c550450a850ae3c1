package ingress

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// proxied opens the proxy of a port of this machine that nothing listens on.
func proxied(t *testing.T, protocol string) (*listener, Port) {
	t.Helper()
	for range 20 {
		probe, err := net.Listen("tcp", ":0")
		must(t, err)
		p := Port{Published: uint16(probe.Addr().(*net.TCPAddr).Port), Protocol: protocol}
		must(t, probe.Close())
		if l, err := newListener(p); err == nil {
			t.Cleanup(l.close)
			return l, p
		}
	}
	t.Fatal("no port is free")
	return nil, Port{}
}

func (p Port) at(host string) string { return net.JoinHostPort(host, fmt.Sprint(p.Published)) }

func backendAt(addr net.Addr) Backend {
	return Backend{Addr: netip.MustParseAddrPort(addr.String()), Local: true}
}

func TestLoopbackAndIPv6AreAnsweredByTheProxy(t *testing.T) {
	l, p := proxied(t, "tcp")
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer server.Close()
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			b, _ := io.ReadAll(c) // until the caller has said all
			_, _ = c.Write([]byte(strings.ToUpper(string(b))))
			c.Close()
		}
	}()
	dead := Backend{Addr: netip.MustParseAddrPort("127.0.0.1:1")}
	l.lead([]Backend{dead, backendAt(server.Addr())})
	for _, host := range []string{"127.0.0.1", "::1"} {
		for range 8 { // the dead one is tried first by half of them
			c, err := net.DialTimeout("tcp", p.at(host), 5*time.Second)
			must(t, err)
			_, err = c.Write([]byte("hello"))
			must(t, err)
			must(t, c.(*net.TCPConn).CloseWrite())
			if got := say(t, c); got != "HELLO" {
				t.Errorf("%s says %q", host, got)
			}
			c.Close()
		}
	}
	l.lead(nil)
	c, err := net.DialTimeout("tcp", p.at("127.0.0.1"), 5*time.Second)
	if err != nil {
		return // refused before the call returned
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("nothing serves, and yet somebody answers")
	}
}

func TestUDPCallersOfTheProxyGetTheirAnswers(t *testing.T) {
	l, p := proxied(t, "udp")
	var backends []Backend
	for n := range 2 {
		server, err := net.ListenPacket("udp4", "127.0.0.1:0")
		must(t, err)
		defer server.Close()
		backends = append(backends, backendAt(server.LocalAddr()))
		go func() {
			buf := make([]byte, 100)
			for {
				k, from, err := server.ReadFrom(buf)
				if err != nil {
					return
				}
				_, _ = server.WriteTo(fmt.Appendf(nil, "%d %s", n, buf[:k]), from)
			}
		}()
	}
	l.lead(backends[:1])
	var callers []net.Conn
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := net.Dial("udp", p.at(host))
		must(t, err)
		defer c.Close()
		callers = append(callers, c)
	}
	for _, c := range callers {
		for range 3 {
			if got := say(t, c); got != "0 ?" {
				t.Errorf("%s is answered %q", c.RemoteAddr(), got)
			}
		}
	}
	l.lead(backends[1:])
	for _, c := range callers {
		if got := say(t, c); got != "1 ?" {
			t.Errorf("once the first is gone, %s is answered %q", c.RemoteAddr(), got)
		}
	}
}

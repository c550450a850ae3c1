package main_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"berth/fixtures/lab/lab"
	"berth/runtime/identity"
)

// socket is one that waits for somebody on a host.
type socket struct{ protocol, address, port, process string }

// sockets lists those of a host that wait for somebody: processes' and the kernel's own.
func (w *world) sockets(h *lab.Host) []socket {
	w.t.Helper()
	out, err := h.Run(w.t.Context(), "ss", "-Hlntup")
	if err != nil {
		w.t.Fatal(err)
	}
	var all []socket
	for line := range strings.Lines(out) {
		f := strings.Fields(line) // protocol, state, two queues, local, peer, process
		at := strings.LastIndexByte(f[4], ':')
		s := socket{protocol: f[0], address: strings.Trim(f[4][:at], "[]"), port: f[4][at+1:]}
		if len(f) > 6 {
			_, s.process, _ = strings.Cut(f[6], `"`)
			s.process, _, _ = strings.Cut(s.process, `"`)
		}
		all = append(all, s)
	}
	return all
}

func TestNothingListensThatLetsStrangersIn(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	w := newWorld(t, l, spread)
	w.must("up", "-d")
	names, ports := 0, 0
	var secured []string
	for _, h := range l.Hosts() {
		for _, s := range w.sockets(h) {
			at := fmt.Sprintf("%s: %s %s port %s", h.Name(), s.protocol, s.address, s.port)
			switch {
			case s.process != "berth" && s.process != "": // the engine's, and the lab's
			case s.port == "53" && s.process == "berth":
				names++
				if !strings.HasPrefix(s.address, "10.128.") { // the pool that networks are taken from
					t.Errorf("%s: names are answered on other than a network's gateway address", at)
				}
			case s.port == "4789" && s.protocol == "udp" && s.process == "": // tunnels, by the kernel
			case s.protocol == "tcp" && s.address == h.Address() && (s.port == "23579" || s.port == "23580"):
				ports++
				secured = append(secured, net.JoinHostPort(s.address, s.port))
			case s.process == "":
				t.Logf("%s is the kernel's", at)
			default:
				t.Errorf("%s is listened on by %s", at, s.process)
			}
		}
	}
	if names < 6 || ports != 6 {
		t.Fatalf("%d sockets for names, %d of the store; want one of each kind on three hosts", names, ports)
	}

	ca, own := w.file("host1", "ca.pem"), w.file("host1", "cert.pem")
	other, err := identity.NewCA("another")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := identity.Issue(other, identity.Subject{Name: "host1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range secured {
		good, err := identity.ClientConfig(ca, identity.KeyPair{Cert: own, Key: own})
		if err != nil {
			t.Fatal(err)
		}
		good.NextProtos = []string{"h2"} // as gRPC has it; the peers' port takes anything
		if err := greet(addr, good); err != nil {
			t.Errorf("%s does not let in a host of the cluster: %v", addr, err)
		}
		bare := good.Clone()
		bare.Certificates = nil
		if err := greet(addr, bare); err == nil {
			t.Errorf("%s lets in who shows no certificate", addr)
		}
		strange, err := identity.ClientConfig(ca, foreign)
		if err != nil {
			t.Fatal(err)
		}
		strange.NextProtos = good.NextProtos
		if err := greet(addr, strange); err == nil {
			t.Errorf("%s lets in who shows a certificate of another authority", addr)
		}
		old := good.Clone()
		old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		if err := greet(addr, old); err == nil {
			t.Errorf("%s speaks TLS 1.2", addr)
		}
	}
}

// greet connects, and waits long enough to learn whether the certificate was refused, which in TLS 1.3 comes after the
// handshake: a gRPC server speaks first, an HTTP server answers a request.
func greet(addr string, cfg *tls.Config) error {
	conn, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	if !strings.HasSuffix(addr, ":23579") {
		if _, err := fmt.Fprintf(conn, "GET /version HTTP/1.1\r\nHost: %s\r\n\r\n", addr); err != nil {
			return err
		}
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

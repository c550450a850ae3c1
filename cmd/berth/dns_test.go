package main_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// nameServer answers the names with one address and knows no other, on this machine's address in the lab.
func nameServer(t *testing.T, at netip.Addr, answer string, names ...string) {
	t.Helper()
	packets, err := net.ListenPacket("udp", netip.AddrPortFrom(at, 53).String())
	if err != nil {
		t.Fatal(err)
	}
	started, done := make(chan struct{}), make(chan error, 1)
	server := &dns.Server{PacketConn: packets, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		name := q.Question[0].Name
		if !slices.Contains(names, strings.TrimSuffix(name, ".")) {
			m.Rcode = dns.RcodeNameError
		} else if q.Question[0].Qtype == dns.TypeA {
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.ParseIP(answer)}}
		}
		_ = w.WriteMsg(m)
	})}
	go func() { done <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	})
}

// A service's own name servers are asked for what the cluster does not know, from the container's place in the network.
func TestAServicesOwnNameServersAnswerWhatTheClusterDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, base)
	server := w.lab.Machine()
	w.write("compose.yml", base+`
services:
  own: {<<: *base, networks: [front, back], dns: [`+server.String()+`], dns_search: [lan.example], dns_opt: ["ndots:1"]}
  plain: {<<: *base, networks: [front]}
  db: {<<: *base, networks: [back]}
networks: {front: , back: }
`)
	nameServer(t, server, "198.51.100.7", "www.example.com", "printer.lan.example")
	w.must("up", "-d")
	own, plain := w.container("own", 1), w.container("plain", 1)
	eventually(t, "own resolves db", func() bool { return len(w.resolve(own, "db."+w.project)) == 1 })
	for name, want := range map[string]string{"plain." + w.project: "", "www.example.com.": "198.51.100.7", "printer.lan.example.": "198.51.100.7"} {
		got := w.resolve(own, name)
		if len(got) != 1 || want != "" && !slices.Equal(got, []string{want}) {
			t.Errorf("own resolves %s to %v, want %q", name, got, want)
		}
	}
	// The C library looks in the search domains first: that of the file, and the one with which berth makes up for what the engine
	// does not pass on once ndots is given.
	for name, want := range map[string]string{"printer": "(198.51.100.7)", "db": "1 packets received"} {
		if out, err := w.exec(own, "ping", "-c", "1", "-W", "1", name); !strings.Contains(out+fmt.Sprint(err), want) {
			t.Errorf("own looks %s up: %v\n%s", name, err, out)
		}
	}
	if out, err := w.exec(own, "cat", "/etc/resolv.conf"); err != nil || !strings.Contains(out, "search lan.example") || !strings.Contains(out, "ndots:1") {
		t.Errorf("own's resolv.conf: %v\n%s", err, out)
	}
	if got := w.resolve(plain, "www.example.com"); len(got) != 0 {
		t.Errorf("plain resolves a name that only own's server knows: %v", got)
	}
}

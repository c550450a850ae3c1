package faults_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

const (
	// resolver is the engine's, in every container.
	resolver = "127.0.0.11:53"
	// callTime is how long a question or a connection may take.
	callTime = 300 * time.Millisecond
	// pingTime is how long an echo request may take.
	pingTime = 100 * time.Millisecond
	// webPort is where the lab's web image listens.
	webPort = 8000
)

// inside runs f on a thread in the network namespace of a process, given by its folder in /proc.
func inside(proc string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- func() error {
			ns, err := os.Open(proc + "/ns/net")
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter the network namespace of %s: %w", proc, err)
			}
			return f()
		}()
	}()
	return <-done
}

// resolve asks the container's resolver for a name's addresses. It must run inside.
func resolve(name string) ([]netip.Addr, error) {
	conn, err := net.Dial("udp4", resolver)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	client := dns.Client{Timeout: callTime}
	m, _, err := client.ExchangeWithConn(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA), &dns.Conn{Conn: conn})
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", name, err)
	}
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("ask for %s: %s", name, dns.RcodeToString[m.Rcode])
	}
	var out []netip.Addr
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			addr, _ := netip.AddrFromSlice(a.A)
			out = append(out, addr.Unmap())
		}
	}
	return out, nil
}

// call asks for a service by its name and then the service itself, which must say that it is the one. It must run
// inside.
func call(service string) (netip.Addr, error) {
	addrs, err := resolve(service)
	if err != nil {
		return netip.Addr{}, err
	}
	if len(addrs) == 0 {
		return netip.Addr{}, &noAddress{service}
	}
	if len(addrs) != 1 {
		return netip.Addr{}, fmt.Errorf("%s has the addresses %v, want one", service, addrs)
	}
	dialer := net.Dialer{Timeout: callTime}
	conn, err := dialer.DialContext(context.Background(), "tcp4", netip.AddrPortFrom(addrs[0], webPort).String())
	if err != nil {
		return addrs[0], err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(callTime))
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return addrs[0], err
	}
	page, err := io.ReadAll(conn)
	if err != nil {
		return addrs[0], err
	}
	if len(page) == 0 { // the service ends, or its host is too busy to answer
		return addrs[0], fmt.Errorf("%s at %s says nothing", service, addrs[0])
	}
	if !strings.Contains(string(page), "<h1>"+service+"</h1>") {
		return addrs[0], &imposter{service, addrs[0], string(page)}
	}
	return addrs[0], nil
}

// noAddress says that a name has no address.
type noAddress struct{ name string }

func (n *noAddress) Error() string { return n.name + " has no address" }

// imposter says that somebody else answers at the address of a name.
type imposter struct {
	service string
	address netip.Addr
	page    string
}

func (i *imposter) Error() string {
	return fmt.Sprintf("%s at %s is somebody else: %.200s", i.service, i.address, i.page)
}

// pinger sends echo requests from one network namespace.
type pinger struct {
	conn net.PacketConn
	id   uint16
	seq  uint16
}

// newPinger must run inside; its methods need not.
func newPinger() (*pinger, error) {
	conn, err := net.ListenPacket("ip4:icmp", "0.0.0.0")
	if err != nil {
		return nil, err
	}
	return &pinger{conn: conn, id: uint16(rand.Uint32())}, nil
}

// Types of ICMP (RFC 792).
const (
	echoReply   = 0
	echoRequest = 8
)

// ping sends one echo request and waits for its answer.
func (p *pinger) ping(to netip.Addr) error {
	p.seq++
	head := []byte{echoRequest, 0, 0, 0}
	head = binary.BigEndian.AppendUint16(head, p.id)
	head = binary.BigEndian.AppendUint16(head, p.seq)
	var sum uint32 // the Internet checksum (RFC 1071)
	for i := 0; i < len(head); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(head[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(head[2:], ^uint16(sum+sum>>16))
	if err := p.conn.SetDeadline(time.Now().Add(pingTime)); err != nil {
		return err
	}
	if _, err := p.conn.WriteTo(head, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	answer := make([]byte, 256)
	for {
		n, _, err := p.conn.ReadFrom(answer)
		if err != nil {
			return err
		}
		if n == len(head) && answer[0] == echoReply && bytes.Equal(answer[4:8], head[4:8]) {
			return nil
		}
	}
}

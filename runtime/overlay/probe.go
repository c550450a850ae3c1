package overlay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"
)

// What a path between two hosts carries is found out by tunnel traffic itself: a VXLAN packet of the size in question,
// with the bit that forbids fragments, in which the other host's bridge is asked for its address. Its kernel answers, so
// nothing has to run there, no port has to be open beside the tunnels', and a firewall that lets tunnels pass lets
// probes pass. Silence on small ones means that the tunnel's port is closed on the way, there or back; silence on large
// ones only, that a link on the way carries less than its neighbours say.

// Target is a host to be probed, by way of a network that stands on both.
type Target struct {
	VNI  uint32
	VTEP netip.Addr // its underlay address
	MAC  MAC        // its bridge's
	IP   netip.Addr // its bridge's IPv4 address
	From netip.Addr // who asks: an IPv4 address of this host's block that nobody has
	Own  MAC        // this host's bridge's
	// Gateway is this host's bridge's IPv4 address; zero: it is not found out whether checksums arrive as they shall be.
	Gateway netip.Addr
	Full    int // the largest underlay MTU to try, bytes
	Last    int // what was found before; 0: nothing
}

// Answer is what a probe found.
type Answer struct {
	Heard bool // small packets are answered
	MTU   int  // of the path, bytes of the underlay, at most Target.Full; 0 when nothing was heard
	// Miscomputed says that checksums which are left to the network card are wrong when they arrive.
	Miscomputed bool
	// Gone says that this host's bridge was not there to ask from: somebody has just removed it. Nothing was found out.
	Gone bool
}

const (
	probeAttempts = 3
	probeLimit    = 32 // targets at the same time
	// The wait for an answer is many round trips, and no less than a busy machine may take for one.
	probeTrips   = 20
	leastWait    = 100 * time.Millisecond
	firstWait    = 500 * time.Millisecond
	leastPathMTU = 576 // bytes; what every IPv4 host takes (RFC 791)
)

// usualMTUs are what links carry, to be tried first.
var usualMTUs = []int{9000, 8950, 8900, 4000, 1500, 1492, 1480, 1450, 1420, 1400, 1280}

// Probe finds out what the paths to the targets carry, all at once. It takes some milliseconds where all is as it was, and
// some seconds for a path that became smaller. It works on the network namespace of the calling thread.
func Probe(ctx context.Context, targets []Target) ([]Answer, error) {
	p, err := newProber(targets)
	if err != nil {
		return nil, err
	}
	defer p.close()
	answers := make([]Answer, len(targets))
	sem := semaphore.NewWeighted(probeLimit)
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() {
			if sem.Acquire(ctx, 1) != nil {
				return
			}
			defer sem.Release(1)
			if p.gone[i] {
				answers[i].Gone = true
				return
			}
			answers[i] = p.target(ctx, i, t)
			if answers[i].Heard {
				answers[i].Miscomputed = p.checks[i].miscomputed(ctx, firstWait)
			}
		})
	}
	wg.Wait()
	return answers, ctx.Err()
}

// prober sends probes and hands answers to whom they belong.
type prober struct {
	out    map[bool]*net.UDPConn // by whether the target's VTEP is IPv6
	in     int                   // packet socket
	heard  []chan struct{}       // by target, of size 1
	checks []*checker            // by target
	gone   []bool                // by target: its bridge is not there
	who    map[question]int
	closed chan struct{}
	done   chan struct{}
}

// question is what tells answers apart: who asked whom on which bridge.
type question struct {
	bridge   int
	asked    netip.Addr
	by       netip.Addr
	askedMAC MAC
}

func newProber(targets []Target) (p *prober, err error) {
	p = &prober{out: map[bool]*net.UDPConn{}, in: -1, who: map[question]int{}, closed: make(chan struct{}), done: make(chan struct{})}
	defer func() {
		if err != nil {
			close(p.done)
			p.close()
			err = fmt.Errorf("overlay: probe paths: %w", err)
		}
	}()
	// The packets are read without blocking for longer than it takes to notice the end.
	if p.in, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(ethARP)); err != nil {
		return p, err
	}
	tv := unix.NsecToTimeval((50 * time.Millisecond).Nanoseconds())
	if err := unix.SetsockoptTimeval(p.in, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return p, err
	}
	for i, t := range targets {
		bridge, err := indexByName(p.in, BridgeName(t.VNI))
		gone := errors.Is(err, unix.ENODEV)
		p.gone = append(p.gone, gone)
		p.heard = append(p.heard, make(chan struct{}, 1))
		if gone {
			p.checks = append(p.checks, nil)
			continue
		}
		if err != nil {
			return p, err
		}
		p.who[question{bridge, t.IP, t.From, t.MAC}] = i
		p.checks = append(p.checks, newChecker(t))
		if p.out[t.VTEP.Is6()] == nil {
			if p.out[t.VTEP.Is6()], err = openUnfragmented(t.VTEP.Is6()); err != nil {
				return p, err
			}
		}
	}
	go p.listen()
	return p, nil
}

// indexByName is a link's index, in the network namespace of the socket.
func indexByName(socket int, name string) (int, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCGIFINDEX, request); err != nil {
		return 0, fmt.Errorf("index of %s: %w", name, err)
	}
	return int(request.Uint32()), nil
}

// openUnfragmented opens a UDP socket whose datagrams are never cut in pieces, whatever the kernel believes of the path.
func openUnfragmented(six bool) (*net.UDPConn, error) {
	network := "udp4"
	if six {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, nil)
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) {
			if six {
				err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
			} else {
				err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
			}
		}), err)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (p *prober) close() {
	close(p.closed)
	<-p.done
	for _, c := range p.out {
		if c != nil {
			c.Close()
		}
	}
	for _, c := range p.checks {
		if c != nil {
			c.close()
		}
	}
	if p.in >= 0 {
		unix.Close(p.in)
	}
}

// listen takes answers in until the prober is closed.
func (p *prober) listen() {
	defer close(p.done)
	buf := make([]byte, 256)
	for {
		select {
		case <-p.closed:
			return
		default:
		}
		n, from, err := unix.Recvfrom(p.in, buf, 0)
		link, ok := from.(*unix.SockaddrLinklayer)
		if err != nil || !ok || n < arpLen || binary.BigEndian.Uint16(buf[6:]) != arpReply {
			continue
		}
		q := question{bridge: link.Ifindex, askedMAC: MAC(buf[8:14]), asked: netip.AddrFrom4([4]byte(buf[14:18])), by: netip.AddrFrom4([4]byte(buf[24:28]))}
		if i, ok := p.who[q]; ok {
			select {
			case p.heard[i] <- struct{}{}:
			default:
			}
		}
	}
}

// target probes one host. A late answer is never one to a smaller probe than what is waited for: sizes only fall while
// nothing is heard.
func (p *prober) target(ctx context.Context, i int, t Target) Answer {
	began := time.Now()
	if !p.carries(ctx, i, t, 0, firstWait) {
		return Answer{}
	}
	wait := max(leastWait, probeTrips*time.Since(began))
	wait = min(wait, firstWait)
	try := func(mtu int) bool { return p.carries(ctx, i, t, mtu, wait) }
	if try(t.Full) {
		return Answer{Heard: true, MTU: t.Full}
	}
	low, high := leastPathMTU, t.Full
	for _, mtu := range append([]int{t.Last}, usualMTUs...) {
		if mtu <= low || mtu >= high {
			continue
		}
		if try(mtu) {
			low = mtu
			break
		}
		high = mtu
	}
	if low+1 < high && try(low+1) {
		low++
		for low+1 < high {
			if middle := (low + high) / 2; try(middle) {
				low = middle
			} else {
				high = middle
			}
		}
	}
	return Answer{Heard: true, MTU: low}
}

// carries reports whether a packet of that size gets there and is answered; 0 is the smallest that there is.
func (p *prober) carries(ctx context.Context, i int, t Target, mtu int, wait time.Duration) bool {
	packet := t.packet(mtu)
	for range probeAttempts {
		select {
		case <-p.heard[i]: // an answer to an earlier probe that was given up
		default:
		}
		if _, err := p.out[t.VTEP.Is6()].WriteToUDPAddrPort(packet, netip.AddrPortFrom(t.VTEP, Port)); errors.Is(err, unix.EMSGSIZE) {
			return false
		}
		timer := time.NewTimer(wait)
		select {
		case <-p.heard[i]:
			timer.Stop()
			return true
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
	return false
}

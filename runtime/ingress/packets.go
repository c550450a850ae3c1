package ingress

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// idleTime is how long the proxy keeps a UDP caller's way to its backend after the last packet (docker-proxy's figure).
const idleTime = 90 * time.Second

// maxPacket is the largest UDP payload.
const maxPacket = 1 << 16

// relayPackets passes on what comes from each caller to one backend, and its answers back.
func (l *listener) relayPackets(from net.PacketConn) {
	conn := from.(*net.UDPConn)
	var mu sync.Mutex
	callers := map[netip.AddrPort]net.Conn{}
	buf := make([]byte, maxPacket)
	for {
		n, caller, err := conn.ReadFromUDPAddrPort(buf)
		if l.ctx.Err() != nil {
			return
		}
		if err != nil {
			continue // an ICMP answer to an earlier packet
		}
		mu.Lock()
		to := callers[caller]
		mu.Unlock()
		if to == nil || !l.leadsTo(to) {
			if to != nil {
				to.Close()
			}
			if to, err = l.dial("udp4"); err != nil {
				continue
			}
			mu.Lock()
			callers[caller] = to
			mu.Unlock()
			l.work.Go(func() {
				l.answers(conn, to, caller)
				mu.Lock()
				defer mu.Unlock()
				if callers[caller] == to {
					delete(callers, caller)
				}
			})
		}
		_, _ = to.Write(buf[:n])
		_ = to.SetReadDeadline(time.Now().Add(idleTime))
	}
}

// leadsTo reports whether a backend still serves.
func (l *listener) leadsTo(c net.Conn) bool {
	for _, b := range *l.backends.Load() {
		if b.Addr.String() == c.RemoteAddr().String() {
			return true
		}
	}
	return false
}

// answers passes on what a backend says until it says nothing for a while, or is left.
func (l *listener) answers(conn *net.UDPConn, from net.Conn, caller netip.AddrPort) {
	defer from.Close()
	stop := context.AfterFunc(l.ctx, func() { from.Close() })
	defer stop()
	_ = from.SetReadDeadline(time.Now().Add(idleTime))
	buf := make([]byte, maxPacket)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.WriteToUDPAddrPort(buf[:n], caller); err != nil {
			return
		}
		_ = from.SetReadDeadline(time.Now().Add(idleTime))
	}
}

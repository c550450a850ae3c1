package storetest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP way to a server that can be cut: a client dials its address instead of the server's.
type Proxy struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	state  proxyState
	resume chan struct{} // closed when the proxy is open again
	conns  map[net.Conn]bool
	wg     sync.WaitGroup
}

type proxyState int

const (
	proxyOpen  proxyState = iota
	proxyCut              // connections are reset, new ones too
	proxyMuted            // nothing passes, and nobody is told
)

// NewProxy listens on a loopback address of its own and leads to target, host:port, until the test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, resume: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(p.resume)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.set(proxyCut)
		p.wg.Wait()
	})
	return p
}

// Addr is where clients reach the server through the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Faults are those of a way: cut with everybody told, and silent. on is the member that it leads to.
func (p *Proxy) Faults(on string) []Fault {
	fault := func(name string, state proxyState) Fault {
		return Fault{
			On: on, Name: name,
			Inflict: func(context.Context) error { p.set(state); return nil },
			Heal:    func(context.Context) error { p.set(proxyOpen); return nil },
		}
	}
	return []Fault{fault("reset the connections to", proxyCut), fault("swallow what goes to and from", proxyMuted)}
}

func (p *Proxy) set(state proxyState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.state
	p.state = state
	switch {
	case state == proxyMuted && was != proxyMuted:
		p.resume = make(chan struct{})
	case state != proxyMuted && was == proxyMuted:
		close(p.resume)
	}
	if state == proxyCut {
		for c := range p.conns {
			_ = c.(*net.TCPConn).SetLinger(0) // a reset, not an orderly end
			_ = c.Close()
		}
		p.conns = map[net.Conn]bool{}
	}
}

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(near) })
	}
}

func (p *Proxy) serve(near net.Conn) {
	far, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		_ = near.Close()
		return
	}
	p.mu.Lock()
	if p.state == proxyCut {
		p.mu.Unlock()
		_ = near.Close()
		_ = far.Close()
		return
	}
	p.conns[near], p.conns[far] = true, true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pump(far, near) })
	both.Go(func() { p.pump(near, far) })
	both.Wait()
	p.mu.Lock()
	delete(p.conns, near)
	delete(p.conns, far)
	p.mu.Unlock()
}

// pump copies until either side closes, then closes both. What is read while the proxy is muted waits, as in a network
// that loses packets: TCP sends them again.
func (p *Proxy) pump(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		resume := p.resume
		p.mu.Unlock()
		<-resume
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}

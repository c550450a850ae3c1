package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// dialTime bounds the call to one backend, all of which are on the host or one hop away.
const dialTime = 3 * time.Second

// listener is a port's proxy, for what does not come over IPv4 from outside the loopback interface.
type listener struct {
	backends atomic.Pointer[[]Backend]
	closers  []io.Closer
	ctx      context.Context // ends connections
	cancel   context.CancelFunc
	work     sync.WaitGroup
}

// listen opens the proxies of ports that have none and closes those of others. It returns, by port, why it has none.
func (i *Ingress) listen(ports []Port) map[string]string {
	problems := map[string]string{}
	for name, l := range i.listeners {
		if !slices.ContainsFunc(ports, func(p Port) bool { return p.Name() == name }) {
			l.close()
			delete(i.listeners, name)
		}
	}
	for _, p := range ports {
		if i.listeners[p.Name()] != nil {
			continue
		}
		l, err := newListener(p)
		if err != nil {
			problems[p.String()] = problem(err)
			continue
		}
		i.listeners[p.Name()] = l
	}
	return problems
}

func problem(err error) string {
	if errors.Is(err, unix.EADDRINUSE) {
		return "something else on the host listens on it; stop that, or publish another port"
	}
	return err.Error()
}

func newListener(p Port) (*listener, error) {
	l := &listener{}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.lead(nil)
	for _, at := range []struct{ family, address string }{{"4", "127.0.0.1"}, {"6", "::"}} {
		err := l.open(p, p.Protocol+at.family, net.JoinHostPort(at.address, fmt.Sprint(p.Published)))
		if at.family == "6" && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
			continue // a host without IPv6
		}
		if err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func (l *listener) open(p Port, network, address string) error {
	var c net.ListenConfig
	if p.Protocol == "udp" {
		conn, err := c.ListenPacket(l.ctx, network, address)
		if err != nil {
			return err
		}
		l.closers = append(l.closers, conn)
		l.work.Go(func() { l.relayPackets(conn) })
		return nil
	}
	conn, err := c.Listen(l.ctx, network, address)
	if err != nil {
		return err
	}
	l.closers = append(l.closers, conn)
	l.work.Go(func() { l.accept(conn) })
	return nil
}

// lead sets where new connections go.
func (l *listener) lead(to []Backend) { l.backends.Store(&to) }

// close ends everything and waits for it.
func (l *listener) close() {
	l.cancel()
	for _, c := range l.closers {
		c.Close()
	}
	l.work.Wait()
}

// dial calls backends in random order until one answers.
func (l *listener) dial(network string) (net.Conn, error) {
	backends := *l.backends.Load()
	err := errors.New("nothing serves")
	for _, n := range rand.Perm(len(backends)) {
		d := net.Dialer{Timeout: dialTime}
		var c net.Conn
		if c, err = d.DialContext(l.ctx, network, backends[n].Addr.String()); err == nil {
			return c, nil
		}
	}
	return nil, err
}

func (l *listener) accept(from net.Listener) {
	for {
		c, err := from.Accept()
		switch {
		case err == nil:
			l.work.Go(func() { l.relay(c.(*net.TCPConn)) })
		case l.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default: // out of files: leave room for those that end
			select {
			case <-l.ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

// relay joins a connection with one to a backend; the end of one direction is passed on.
func (l *listener) relay(client *net.TCPConn) {
	defer client.Close()
	c, err := l.dial("tcp4")
	if err != nil {
		_ = client.SetLinger(0) // refused, as without a proxy
		return
	}
	server := c.(*net.TCPConn)
	defer server.Close()
	stop := context.AfterFunc(l.ctx, func() {
		client.Close()
		server.Close()
	})
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(server, client)
		_ = server.CloseWrite()
	}()
	_, _ = io.Copy(client, server)
	_ = client.CloseWrite()
	<-done
}

package cli

import (
	"context"
	"os"
	"strconv"
	"sync"
	"syscall"

	"berth/cmd/console"
	"berth/runtime/engine"
)

// joining says how the user's streams are joined to a container's process.
type joining struct {
	id         string
	tty        bool // as the container was made
	stdin      bool // the user's input goes to it
	detachKeys string
	proxy      bool         // signals go to it; else they end berth
	autoRemove bool         // the engine removes the container when it ends
	start      func() error // called when all is joined; nil for a container that runs
}

// joined is a container's process that has the user's streams.
type joined struct {
	output  func() error
	exit    func() (int, error)
	release []func() // gives terminal and signals back
}

// join gives a container's process the user's streams, and his terminal if it wants one. wait gives them back.
func (ss *session) join(ctx context.Context, e *engine.Engine, j joining) (*joined, error) {
	p := &joined{}
	if err := p.open(ctx, ss, e, j); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

func (p *joined) open(ctx context.Context, ss *session, e *engine.Engine, j joining) error {
	spec := engine.AttachSpec{Tty: j.tty, Stdout: ss.env.Stdout, Stderr: ss.env.Stderr, DetachKeys: j.detachKeys}
	if j.stdin {
		spec.Stdin = ss.env.Stdin
	}
	if j.stdin && j.tty && console.Is(ss.env.Stdin) {
		keys, err := console.ParseDetachKeys(j.detachKeys)
		if err != nil {
			return err
		}
		held, err := ss.takeTerminal()
		if err != nil {
			return err
		}
		p.release = append(p.release, held.Release)
		spec.Stdin, spec.Resize = console.Detachable(ss.env.Stdin, keys), held.Sizes
	}
	p.exit = e.AwaitExit(ctx, j.id, j.autoRemove)
	var err error
	if p.output, err = e.Attach(ctx, j.id, spec); err != nil {
		return err
	}
	if j.proxy {
		proxy := newProxy(ctx, e, j.id)
		giveBack := ss.forwardTo(proxy.signal)
		p.release = append(p.release, func() { giveBack(); proxy.close() })
	}
	if j.start != nil {
		return j.start()
	}
	return nil
}

// wait returns the process's exit code when it has ended, and console.ErrDetached when the user has left it.
func (p *joined) wait() (int, error) {
	defer p.end()
	if err := p.output(); err != nil {
		return 0, err
	}
	return p.exit()
}

func (p *joined) end() {
	for _, f := range p.release {
		f()
	}
}

// insistence is how many interrupts kill a process that does not end by them.
const insistence = 3

// proxy sends berth's signals to a container's process, in their order.
type proxy struct {
	queue chan os.Signal
	done  sync.WaitGroup
}

func newProxy(ctx context.Context, e *engine.Engine, id string) *proxy {
	p := &proxy{queue: make(chan os.Signal, 16)}
	p.done.Go(func() {
		interrupts := 0
		for sig := range p.queue {
			number, ok := sig.(syscall.Signal)
			if !ok {
				continue
			}
			if number == syscall.SIGINT || number == syscall.SIGTERM {
				if interrupts++; interrupts == insistence {
					number = syscall.SIGKILL
				}
			}
			_ = e.Kill(ctx, id, strconv.Itoa(int(number))) // a process that has ended meanwhile needs none
		}
	})
	return p
}

// signal hands one on. It does not block: of a flood, some are lost.
func (p *proxy) signal(sig os.Signal) {
	select {
	case p.queue <- sig:
	default:
	}
}

// close ends the proxy; no signal may come any more.
func (p *proxy) close() {
	close(p.queue)
	p.done.Wait()
}

package cli

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// signalling decides what SIGINT and SIGTERM do: the first cancels the command's context; the second does what the
// command has asked for, or ends berth at once with code 130. A command that passes signals on to a process takes them
// all.
type signalling struct {
	arrived chan os.Signal

	mu      sync.Mutex
	count   int
	latest  time.Time
	second  func()
	forward func(os.Signal)
	last    []func() // before an end at once
}

// echo is how close two signals are that somebody meant as one: timeout(1) and some shells send theirs to the process
// and to its group.
const echo = 100 * time.Millisecond

// signals begins to handle them; first is called for the first one. stop ends that and waits for it.
func (s *signalling) signals(first func()) (stop func()) {
	s.arrived = make(chan os.Signal, 8)
	signal.Notify(s.arrived, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	var handler sync.WaitGroup
	handler.Go(func() {
		for {
			select {
			case sig := <-s.arrived:
				s.handle(sig, first)
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(s.arrived)
		close(done)
		handler.Wait()
	}
}

func (s *signalling) handle(sig os.Signal, first func()) {
	if last, end := s.answer(sig, first); end {
		for _, f := range last {
			f()
		}
		os.Exit(130)
	}
}

// answer does what the signal asks for; when that is the end of berth, it returns what has to be called before.
func (s *signalling) answer(sig os.Signal, first func()) (last []func(), end bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forward != nil {
		s.forward(sig)
		return nil, false
	}
	at := time.Now()
	if s.count > 0 && at.Sub(s.latest) < echo {
		return nil, false
	}
	s.latest = at
	s.count++
	switch {
	case s.count == 1:
		first()
	case s.second != nil:
		s.second()
		s.second = nil
	default:
		return s.last, true
	}
	return nil, false
}

// onSecond sets what a second interrupt does instead of ending berth. f must not block.
func (s *signalling) onSecond(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.second = f
}

// forwardTo lets f have every signal that a process may want, until giveBack. f must not block.
func (s *signalling) forwardTo(f func(os.Signal)) (giveBack func()) {
	set := func(f func(os.Signal)) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forward = f
	}
	set(f)
	signal.Notify(s.arrived, forwarded()...)
	return func() {
		signal.Reset(forwarded()...)
		set(nil)
	}
}

// atExit has f called when berth ends without returning from the command.
func (s *signalling) atExit(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = append(s.last, f)
}

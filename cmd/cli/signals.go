package cli

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// signalling decides what SIGINT and SIGTERM do: the first cancels the command's context; the second does what the
// command has asked for, or ends berth at once with code 130.
type signalling struct {
	mu     sync.Mutex
	count  int
	second func()
	last   []func() // before an end at once
}

// signals begins to handle them; first is called for the first one. stop ends that and waits for it.
func (s *signalling) signals(first func()) (stop func()) {
	arrived := make(chan os.Signal, 8)
	signal.Notify(arrived, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	var handler sync.WaitGroup
	handler.Go(func() {
		for {
			select {
			case <-arrived:
				s.handle(first)
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(arrived)
		close(done)
		handler.Wait()
	}
}

func (s *signalling) handle(first func()) {
	if last, end := s.answer(first); end {
		for _, f := range last {
			f()
		}
		os.Exit(130)
	}
}

// answer does what the signal asks for; when that is the end of berth, it returns what has to be called before.
func (s *signalling) answer(first func()) (last []func(), end bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
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

// atExit has f called when berth ends without returning from the command.
func (s *signalling) atExit(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = append(s.last, f)
}

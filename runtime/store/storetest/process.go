package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"testing"
)

// Process is one server of a store as a process of its own, which faults kill and stop.
type Process struct {
	Name string
	// Command makes the command that starts the server, anew each time. Its output is kept for the log of a failed test.
	Command func() *exec.Cmd
	// Started is called after each start, before anybody waits for the server; nil does nothing.
	Started func(pid int) error

	mu  sync.Mutex
	cmd *exec.Cmd // nil: not running
	log bytes.Buffer
}

// Start starts the server; it is killed when the test ends. It does not wait until the server serves.
func (p *Process) Start(t testing.TB) error {
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", p.Name, p.log.String())
		}
	})
	return p.start()
}

func (p *Process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := p.Command()
	cmd.Stdout, cmd.Stderr = &p.log, &p.log // one writer at a time: the process before has been waited for
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// A process group, so that nothing that it starts outlives it, and an end with this process.
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.cmd = cmd
	if p.Started != nil {
		return p.Started(cmd.Process.Pid)
	}
	return nil
}

// Kill ends the server as kill -9 does, and waits until it is gone. One that does not run is left alone.
func (p *Process) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	_ = p.cmd.Wait() // which says that it was killed
	p.cmd = nil
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %s: %w", p.Name, err)
	}
	return nil
}

func (p *Process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return fmt.Errorf("%s: it does not run", p.Name)
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil {
		return fmt.Errorf("send %s to %s: %w", s, p.Name, err)
	}
	return nil
}

// Faults are those of a process: killed (and started again), and stopped for a while.
func (p *Process) Faults() []Fault {
	return []Fault{
		{
			On: p.Name, Name: "kill -9",
			Inflict: func(context.Context) error { return p.Kill() },
			Heal:    func(context.Context) error { return p.start() },
		},
		{
			On: p.Name, Name: "stop",
			Inflict: func(context.Context) error { return p.signal(syscall.SIGSTOP) },
			Heal:    func(context.Context) error { return p.signal(syscall.SIGCONT) },
		},
	}
}

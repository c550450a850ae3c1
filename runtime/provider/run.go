package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// stream is a program's standard output.
type stream = io.Reader

// run runs the program until it ends, and read with its standard output. When read fails, or ctx ends, the program and what
// it has started are told to end, and killed when they do not within Grace.
func (c *Call) run(ctx context.Context, path string, args []string, read func(stream) error) error {
	if err := ctx.Err(); err != nil {
		return err // while the program was asked for its metadata
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	said := &tail{}
	cmd := exec.Command(path, args...)
	cmd.Env, cmd.Stderr, cmd.WaitDelay = c.Env, said, cmp.Or(c.Grace, grace)
	group(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended, stopped := make(chan struct{}), make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(stopped)
		terminate(cmd)
		timer := time.NewTimer(cmd.WaitDelay)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			kill(cmd)
		}
	})
	failed := read(out)
	if failed != nil {
		cancel()
		_, _ = io.Copy(io.Discard, out) // until all that can write to it has ended
	}
	err = cmd.Wait()
	close(ended)
	if !unhook() {
		<-stopped
	}
	var code *exec.ExitError
	switch {
	case failed != nil:
		return failed
	case errors.As(err, &code):
		if last := said.line(); last != "" {
			return fmt.Errorf("%w: %s", err, last)
		}
		return err
	case errors.Is(err, exec.ErrWaitDelay):
		return nil // what it leaves running keeps its standard error open
	}
	return err
}

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

const tailBytes = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	if extra := len(t.text) - tailBytes; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(b), nil
}

// line is the last line that says something.
func (t *tail) line() string {
	lines := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

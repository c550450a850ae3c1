package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
)

// maxComplaint is how much of a command's standard error is kept for the error message, bytes.
const maxComplaint = 2 << 10

// ExecStream runs a command in a running container and gives its standard input and output as one connection: writes
// go to its input, reads come from its output, CloseWrite ends its input. What it says on standard error becomes part of
// the read error when it ends. ctx bounds the start only; the command ends when the connection is closed and it reads
// the end of its input.
func (e *Engine) ExecStream(ctx context.Context, id string, cmd []string) (net.Conn, error) {
	op := "run " + strings.Join(cmd, " ") + " in container"
	made, err := e.api.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: cmd, AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, e.fail(op, id, err)
	}
	hijacked, err := e.api.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return nil, e.fail(op, id, err)
	}
	return &execConn{Conn: hijacked.Conn, closer: hijacked, in: hijacked.Reader, what: op + " " + id}, nil
}

// execConn is a hijacked connection with the engine's framing taken off. Reads are for one goroutine at a time, as
// writes are; reads and writes may run together.
type execConn struct {
	net.Conn
	closer types.HijackedResponse
	in     io.Reader
	what   string

	mu        sync.Mutex
	left      int    // bytes of the current stdout frame still to be read
	complaint []byte // what came on standard error
}

// Read reads standard output.
func (c *execConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.left == 0 {
		kind, size, err := frameHeader(c.in)
		if err != nil {
			return 0, c.ended(err)
		}
		if kind == streamStdout {
			c.left = size
			continue
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(c.in, text); err != nil {
			return 0, c.ended(err)
		}
		if room := maxComplaint - len(c.complaint); room > 0 {
			c.complaint = append(c.complaint, text[:min(room, len(text))]...)
		}
	}
	if len(p) > c.left {
		p = p[:c.left]
	}
	n, err := c.in.Read(p)
	c.left -= n
	if err != nil && c.left == 0 && n > 0 {
		err = nil // the next read meets it between frames
	}
	return n, err
}

func (c *execConn) ended(err error) error {
	if text := strings.TrimSpace(string(c.complaint)); text != "" {
		return fmt.Errorf("%s: %s: %w", c.what, text, err)
	}
	return err
}

// CloseWrite ends the command's standard input.
func (c *execConn) CloseWrite() error { return c.closer.CloseWrite() }

// Close ends the connection, and with it the command's input.
func (c *execConn) Close() error {
	_ = c.closer.CloseWrite()
	return c.Conn.Close()
}

// ExecSpec is a command to run in a running container.
type ExecSpec struct {
	Cmd, Env   []string
	User       string
	WorkingDir string
	Privileged bool
	Tty        bool
	Detach     bool // do not wait; streams are not used
	Stdin      io.Reader
	Stdout     io.Writer
	Stderr     io.Writer // unused with Tty: a terminal has one stream
	// Resize sends the terminal's size, width then height, at the start and whenever it changes; nil without a terminal.
	Resize <-chan [2]uint
}

// Exec runs a command in a running container to its end and gives its exit code. With Detach it returns 0 at once.
func (e *Engine) Exec(ctx context.Context, id string, x ExecSpec) (int, error) {
	op := "run " + strings.Join(x.Cmd, " ") + " in container"
	made, err := e.api.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: x.Cmd, Env: x.Env, User: x.User, WorkingDir: x.WorkingDir, Privileged: x.Privileged, Tty: x.Tty,
		AttachStdin: x.Stdin != nil && !x.Detach, AttachStdout: !x.Detach, AttachStderr: !x.Detach && !x.Tty,
	})
	if err != nil {
		return 0, e.fail(op, id, err)
	}
	if x.Detach {
		return 0, e.fail(op, id, e.api.ContainerExecStart(ctx, made.ID, container.ExecStartOptions{Detach: true, Tty: x.Tty}))
	}
	hijacked, err := e.api.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{Tty: x.Tty})
	if err != nil {
		return 0, e.fail(op, id, err)
	}
	s := streams{stdin: x.Stdin, stdout: x.Stdout, stderr: x.Stderr, tty: x.Tty, resize: x.Resize,
		setSize: func(ctx context.Context, w, h uint) error {
			return e.api.ContainerExecResize(ctx, made.ID, container.ResizeOptions{Width: w, Height: h})
		}}
	if err := s.join(ctx, hijacked); err != nil {
		return 0, e.fail(op, id, err)
	}
	info, err := e.api.ContainerExecInspect(ctx, made.ID)
	if err != nil {
		return 0, e.fail(op, id, err)
	}
	return info.ExitCode, nil
}

// AttachSpec joins streams to a container's main process.
type AttachSpec struct {
	Tty    bool // as the container was made
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Resize <-chan [2]uint // as in ExecSpec
	// DetachKeys are those that the engine itself looks for in a terminal's input; "" is its own ctrl-p,ctrl-q.
	DetachKeys string
}

// Attach joins the streams to a container, usually one that is created but not started, and gives a function that
// waits until its output ends, or until a read of Stdin fails (which a user's keys to leave it do), with that error.
// Start the container between the two calls, and nothing of its output is lost.
func (e *Engine) Attach(ctx context.Context, id string, a AttachSpec) (wait func() error, err error) {
	hijacked, err := e.api.ContainerAttach(ctx, id, container.AttachOptions{
		Stream: true, Stdin: a.Stdin != nil, Stdout: a.Stdout != nil, Stderr: a.Stderr != nil && !a.Tty,
		DetachKeys: a.DetachKeys,
	})
	if err != nil {
		return nil, e.fail("attach to container", id, err)
	}
	s := streams{stdin: a.Stdin, stdout: a.Stdout, stderr: a.Stderr, tty: a.Tty, resize: a.Resize,
		setSize: func(ctx context.Context, w, h uint) error {
			return e.api.ContainerResize(ctx, id, container.ResizeOptions{Width: w, Height: h})
		}}
	return func() error { return e.fail("attach to container", id, s.join(ctx, hijacked)) }, nil
}

// streams joins a hijacked connection to the caller's readers and writers.
type streams struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	tty            bool
	resize         <-chan [2]uint
	setSize        func(ctx context.Context, width, height uint) error
}

// join copies until the output ends or ctx does. The reader of stdin is abandoned then: a terminal's read cannot be
// interrupted, and the program is about to leave it anyway.
func (s streams) join(ctx context.Context, h types.HijackedResponse) error {
	defer h.Close()
	ctx, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { h.Close() })
	defer stop()
	in := &input{Reader: s.stdin, failed: make(chan error, 1)}
	if s.stdin != nil {
		go func() {
			_, _ = io.Copy(h.Conn, in) // a process that takes no more input goes on
			if len(in.failed) > 0 {
				h.Close()
				return
			}
			_ = h.CloseWrite()
		}()
	}
	if s.resize != nil {
		helpers.Go(func() { s.follow(ctx) })
	}
	err := s.output(h.Reader)
	select {
	case failed := <-in.failed:
		return failed
	default:
	}
	if parent := ctx.Err(); parent != nil {
		return parent
	}
	return err
}

// input notes why reading it failed, which io.Copy does not tell from a failure of writing.
type input struct {
	io.Reader
	failed chan error
}

func (i *input) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		i.failed <- err
	}
	return n, err
}

func (s streams) output(r io.Reader) error {
	if s.tty {
		_, err := io.Copy(orDiscard(s.stdout), r)
		return endOfStream(err)
	}
	for {
		kind, size, err := frameHeader(r)
		if err != nil {
			return endOfStream(err)
		}
		w := orDiscard(s.stdout)
		if kind == streamStderr {
			w = orDiscard(s.stderr)
		}
		if _, err := io.CopyN(w, r, int64(size)); err != nil {
			return endOfStream(err)
		}
	}
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// resizeRetries is how often a size is sent again to a process that has not come up yet, and resizePause the wait.
const (
	resizeRetries = 10
	resizePause   = 20 * time.Millisecond
)

func (s streams) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-s.resize:
			if !ok {
				return
			}
			for range resizeRetries {
				if s.setSize(ctx, size[0], size[1]) == nil || sleep(ctx, resizePause) != nil {
					break
				}
			}
		}
	}
}

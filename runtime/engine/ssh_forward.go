package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// forwardName is what a forwarded socket's name has after that of its control socket.
const forwardName = ".s"

// sshForward reaches the engine's socket through an ssh master that forwards a socket of this machine to it. The
// master outlives the command by a minute (ControlPersist), so that connections, also of the next command, cost neither
// a process here nor `docker system dial-stdio` there: 1 ms instead of 200.
type sshForward struct {
	flags  []string // ssh's, of master 0
	target []string // [-p PORT] [-l USER] HOST
	local  string   // path of the forwarded socket here
	remote string   // path of the engine's socket there

	mu    sync.Mutex
	state forwardState
}

type forwardState int

const (
	untried forwardState = iota
	works
	fails // sshd forbids it, or the engine's socket is elsewhere: connections go through dial-stdio
)

// newForward prepares the forward for an address; nil when there is no folder for control sockets.
func newForward(d *sshDialing) (*sshForward, error) {
	u, err := url.Parse(d.address)
	if err != nil || d.control == "" {
		return nil, err
	}
	f := &sshForward{flags: sshFlags(d.address, d.host, d.control, 0), remote: d.host.Socket}
	if f.remote == "" {
		f.remote = "/var/run/docker.sock"
	}
	if p := u.Port(); p != "" {
		f.target = append(f.target, "-p", p)
	}
	if u.User != nil {
		f.target = append(f.target, "-l", u.User.Username())
	}
	f.target = append(f.target, u.Hostname())
	f.local = filepath.Join(d.control, socketName(d.address, d.host, f.remote)+forwardName)
	return f, nil
}

// dial connects through the forward, making it first where it does not stand. errNoForward says to go another way.
func (f *sshForward) dial(ctx context.Context) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == fails {
		return nil, errNoForward
	}
	if f.state == untried && f.probe(ctx) == nil {
		f.state = works // an earlier command has made it
	}
	if f.state == works {
		if conn, err := f.connect(ctx); err == nil {
			return conn, nil
		}
	}
	f.state = fails
	if err := f.make(ctx); err != nil {
		return nil, errors.Join(errNoForward, err)
	}
	if err := f.probe(ctx); err != nil {
		return nil, errors.Join(errNoForward, err)
	}
	f.state = works
	return f.connect(ctx)
}

var errNoForward = errors.New("the engine's socket cannot be forwarded over ssh")

func (f *sshForward) connect(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", f.local)
}

// probe asks for the engine's ping: a forward whose far end does not answer accepts connections all the same.
func (f *sshForward) probe(ctx context.Context) error {
	conn, err := f.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, "HEAD /_ping HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	answer := make([]byte, len("HTTP/1."))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if string(answer) != "HTTP/1." {
		return fmt.Errorf("%s on the host is not an engine's", f.remote)
	}
	return nil
}

// make lets the master forward the socket, and becomes the master where there is none.
func (f *sshForward) make(ctx context.Context) error {
	// Not a pipe: the master goes on in the background with this open, and nothing would ever end it.
	said, err := os.CreateTemp("", "berth-ssh-*")
	if err != nil {
		return err
	}
	defer os.Remove(said.Name())
	defer said.Close()
	args := append([]string{}, f.flags...)
	args = append(args, "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "StreamLocalBindUnlink=yes",
		"-L", f.local+":"+f.remote)
	args = append(append(args, f.target...), "true")
	cmd := exec.CommandContext(ctx, "ssh", args...)
	cmd.Stderr = said
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(said.Name())
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(bytes.ToValidUTF8(text, []byte("?")))))
	}
	return nil
}

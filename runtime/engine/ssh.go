package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/docker/cli/cli/connhelper"

	"berth/placement"
)

// sshHost is the URL that requests over ssh carry; nothing resolves it.
const sshHost = "http://docker.example.com"

// controlName is the length of a control socket's name, hex digits.
const controlName = 20

// maxControlDir is the longest folder that ssh can put its control socket in: a Unix socket path has at most 103
// bytes everywhere; there are a slash, the name and, while ssh binds it, 17 more characters to come.
const maxControlDir = 103 - 1 - controlName - 17

// sessionsPerMaster is how many connections share one authenticated session: sshd refuses more than 10 (MaxSessions).
const sessionsPerMaster = 8

// sshDialer reaches a host's engine through the ssh program, so that the user's keys, agent and ssh configuration
// count: over a forwarded socket (sshForward) where that works, else by `docker system dial-stdio` on the host.
// Connections of the latter kind share authenticated sessions (ControlMaster), sessionsPerMaster each: the first costs a
// handshake, the others do not.
func sshDialer(address string, h placement.InventoryHost) (func(context.Context, string, string) (net.Conn, error), error) {
	d := &sshDialing{address: address, host: h, control: controlDir(os.Getenv, os.Getuid())}
	if _, err := d.helper(0); err != nil {
		return nil, err
	}
	var err error
	d.forward, err = newForward(d)
	return d.dial, err
}

// sshDialing hands each connection the first slot that is free; slots share sessions in groups.
type sshDialing struct {
	address string
	host    placement.InventoryHost
	control string // folder of control sockets; "" for none
	forward *sshForward

	mu    sync.Mutex
	slots []bool // in use
}

func (d *sshDialing) helper(master int) (*connhelper.ConnectionHelper, error) {
	helper, err := connhelper.GetConnectionHelperWithSSHOpts(d.address, sshFlags(d.address, d.host, d.control, master))
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", d.address, err)
	}
	return helper, nil
}

func (d *sshDialing) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d.forward != nil {
		conn, err := d.forward.dial(ctx)
		if err == nil || ctx.Err() != nil || !errors.Is(err, errNoForward) {
			return conn, err
		}
	}
	slot := d.take()
	helper, err := d.helper(slot / sessionsPerMaster)
	if err == nil {
		var conn net.Conn
		if conn, err = helper.Dialer(ctx, network, address); err == nil {
			return &sshConn{Conn: conn, release: sync.OnceFunc(func() { d.free(slot) })}, nil
		}
	}
	d.free(slot)
	return nil, err
}

func (d *sshDialing) take() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.Index(d.slots, false)
	if i < 0 {
		i = len(d.slots)
		d.slots = append(d.slots, false)
	}
	d.slots[i] = true
	return i
}

func (d *sshDialing) free(slot int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slots[slot] = false
}

// sshConn gives its slot back when it is closed.
type sshConn struct {
	net.Conn
	release func()
}

// CloseWrite ends the writing half, which execs and attachments need.
func (c *sshConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close ends the ssh process.
func (c *sshConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// sshFlags are ssh's options for a host. control is the folder of control sockets, "" for none, and master the number of
// the session to share. A session is shared
// only with the same address, key and host keys: it must not let in whom ssh itself would refuse. A session to a host that
// has gone dies within 15 s, or connections would queue behind it.
func sshFlags(address string, h placement.InventoryHost, control string, master int) []string {
	var flags []string
	if h.Identity != "" {
		// IdentitiesOnly: an agent full of other keys would use up the server's attempts first.
		flags = append(flags, "-i", h.Identity, "-o", "IdentitiesOnly=yes")
	}
	if h.KnownHosts != "" {
		flags = append(flags, "-o", "UserKnownHostsFile="+h.KnownHosts, "-o", "StrictHostKeyChecking=yes")
	}
	if control != "" {
		flags = append(flags, "-o", "ControlMaster=auto", "-o", "ControlPath="+filepath.Join(control, socketName(address, h, strconv.Itoa(master))),
			"-o", "ControlPersist=60", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")
	}
	return flags
}

// socketName names the socket of a session, or what else of it what tells.
func socketName(address string, h placement.InventoryHost, what string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{address, h.Identity, h.KnownHosts, what}, "\x00")))
	return hex.EncodeToString(sum[:])[:controlName]
}

// controlDir finds a private folder for ssh control sockets, "" when there is none that is short enough: then each
// connection authenticates by itself.
func controlDir(environ func(string) string, uid int) string {
	var candidates []string
	if d := environ("XDG_RUNTIME_DIR"); d != "" {
		candidates = append(candidates, filepath.Join(d, "berth-ssh"))
	}
	if d, err := os.UserCacheDir(); err == nil {
		candidates = append(candidates, filepath.Join(d, "berth-ssh"))
	}
	candidates = append(candidates, filepath.Join(os.TempDir(), "berth-ssh-"+strconv.Itoa(uid)))
	for _, d := range candidates {
		if len(d) <= maxControlDir && privateDir(d) == nil {
			return d
		}
	}
	return ""
}

// privateDir makes a folder that only the user can enter, and refuses one that others could have prepared: a control
// socket in it would hand them the session.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || info.Mode().Perm() != 0o700 || !ownedByUser(info) {
		return errors.New(dir + " is not a folder of the user's own with mode 0700")
	}
	return nil
}

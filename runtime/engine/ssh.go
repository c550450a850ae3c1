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
	"strconv"

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

// sshDialer runs `docker system dial-stdio` on the host through the ssh program, so that the user's keys, agent and
// ssh configuration count. All connections to a host share one authenticated session (ControlMaster): the first costs
// a handshake, the others a few milliseconds.
func sshDialer(address string, h placement.InventoryHost) (func(context.Context, string, string) (net.Conn, error), error) {
	helper, err := connhelper.GetConnectionHelperWithSSHOpts(address, sshFlags(address, h, controlDir(os.Getenv, os.Getuid())))
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	return helper.Dialer, nil
}

// sshFlags are ssh's options for a host. control is the folder of control sockets, "" for none. A session is shared
// only with the same address, key and host keys: it must not let in whom ssh itself would refuse. A session to a host that
// has gone dies within 15 s, or connections would queue behind it.
func sshFlags(address string, h placement.InventoryHost, control string) []string {
	var flags []string
	if h.Identity != "" {
		// IdentitiesOnly: an agent full of other keys would use up the server's attempts first.
		flags = append(flags, "-i", h.Identity, "-o", "IdentitiesOnly=yes")
	}
	if h.KnownHosts != "" {
		flags = append(flags, "-o", "UserKnownHostsFile="+h.KnownHosts, "-o", "StrictHostKeyChecking=yes")
	}
	if control != "" {
		sum := sha256.Sum256([]byte(address + "\x00" + h.Identity + "\x00" + h.KnownHosts))
		name := hex.EncodeToString(sum[:])[:controlName]
		flags = append(flags, "-o", "ControlMaster=auto", "-o", "ControlPath="+filepath.Join(control, name),
			"-o", "ControlPersist=60", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")
	}
	return flags
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

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"berth/runtime/engine"
	"berth/runtime/ledger"
	"berth/runtime/overlay"
	"berth/runtime/wireguard"
)

// The userspace WireGuard device lives in a container of its own, so that encrypted traffic outlives the agent. The
// agent speaks with it on a socket in a folder of its own volume, which that container sees as wireGuardTarget.
const (
	wireGuardFolder = "wireguard"
	wireGuardSocket = "control.sock"
	wireGuardTarget = "/run/berth"
)

// RunWireGuard is what runs in that container.
func RunWireGuard(ctx context.Context) error {
	return wireguard.Serve(ctx, wireGuardTarget+"/"+wireGuardSocket, slog.New(slog.NewTextHandler(os.Stderr, nil)))
}

// launcher runs the container by way of the engine.
type launcher struct {
	engine Engine
	folder string
}

var _ wireguard.Launcher = launcher{}

func (l launcher) Start(ctx context.Context) error {
	if err := os.MkdirAll(l.folder, 0o700); err != nil {
		return fmt.Errorf("make the folder of its socket: %w", err)
	}
	return l.engine.RunWireGuard(ctx, engine.WireGuardSpec{
		Version: wireguard.ServeVersion, Cmd: []string{"/berth", "agent", "wireguard"},
		Dir: Dir, Folder: wireGuardFolder, Target: wireGuardTarget,
	})
}

func (l launcher) Stop(ctx context.Context) error {
	if err := l.engine.RemoveWireGuard(ctx); err != nil {
		return err
	}
	return os.RemoveAll(l.folder)
}

// publishedWireGuard is what the host's record says of its device; nil for none. Until this life has looked at the
// device, that of the life before stands: the device has outlived the agent, and its peers shall not drop it.
func (a *agent) publishedWireGuard() *ledger.WireGuard {
	switch e := &a.encryption; {
	case e.record.Key != "":
		r := e.record
		return &r
	case !e.looked:
		return a.view.hosts[a.config.Host].WireGuard
	}
	return nil
}

// seal puts an encrypted network on the WireGuard device, or leaves it alone as long as that does not stand.
func (a *agent) seal(n *overlay.Network) {
	if a.encryption.standing {
		n.Underlay = a.place()
	} else {
		n.Leaving = true
	}
}

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/ingress"
	"berth/runtime/names"
	"berth/runtime/overlay"
	"berth/runtime/overlay/shortcut"
	"berth/runtime/wireguard"
)

// Files are the paths that an agent uses on its own volume. An empty one is not used.
type Files struct {
	Config        string // agent.json, which the agent changes when the store's members change
	CA, Cert, Key string
	CAKey, Access string // on store members
	Data          string // folder of the store member
	Refused       string // hosts that were refused when the agent last knew
	Marker        string // see overlay.Config
	Memory        string // see memory; "" keeps none
	Known         string // see known; "" keeps none
	WireGuard     string // folder of the userspace WireGuard device's socket
	ResolvConf    string // "" is /etc/resolv.conf
}

// DefaultFiles are the paths inside the agent's container.
func DefaultFiles() Files {
	return Files{Config: ConfigFile, CA: CAFile, Cert: CertFile, Key: KeyFile, CAKey: CAKeyFile, Access: AccessFile,
		Data: DataDir, Refused: RefusedFile, Marker: filepath.Join(Dir, "bridge-netfilter"),
		Memory: filepath.Join(Dir, "store-seen.json"), Known: filepath.Join(Dir, "store-known.json"),
		WireGuard: filepath.Join(Dir, wireGuardFolder)}
}

// Run is the agent: it returns when ctx ends (nil), or with an error when it cannot begin. It leaves everything on
// the host as it is, so that traffic goes on; the host's lease runs out by itself if no agent comes back in time.
func Run(ctx context.Context, c Config) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("host", c.Host)
	e, err := engine.Connect(placement.InventoryHost{Name: c.Host, Address: "unix://" + c.Socket})
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	defer e.Close()
	way, err := openShortcut(log)
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	defer way.Close()
	return run(ctx, c, e, way, DefaultFiles(), log)
}

// RunWith is Run with the outside handed in, and without a shortcut. It works on the network namespace of the calling thread,
// but for what it finds out about paths to other hosts: that begins in the process's own.
func RunWith(ctx context.Context, c Config, e Engine, files Files, log *slog.Logger) error {
	return run(ctx, c, e, nil, files, log)
}

func run(ctx context.Context, c Config, e Engine, way *shortcut.Shortcut, files Files, log *slog.Logger) error {
	if c.Host == "" {
		return fmt.Errorf("agent: the configuration names no host; was the agent's volume emptied?")
	}
	net, err := overlay.Open(overlay.Config{Marker: files.Marker, Log: log, Shortcut: way})
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	defer net.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	links, err := net.Watch(ctx)
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	server := names.New(names.Config{Host: c.Host, ResolvConf: files.ResolvConf, Log: log})
	defer server.Close()

	in, err := ingress.Open(ingress.Config{Log: log})
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	defer in.Close()

	device, err := wireguard.Open(filepath.Join(files.WireGuard, wireGuardSocket), launcher{e, files.WireGuard})
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	defer device.Close()

	a := newAgent(c, e, net, server, in, files, log)
	a.memory = recall(files.Memory)
	a.encryption.device = device
	log.Info("agent starts", "version", c.Version, "cluster", c.Cluster, "member", c.Store.Member != nil)
	if a.member, err = newKeeper(newSettings(c, files.Config, log), files, log); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	signer := newSigner(c, files, log)
	signer.renewOwn() // a member that was away for long would else be refused by the others

	// The member stops after all that writes to the store.
	memberCtx, stopMember := context.WithCancel(context.Background())
	var member, rest sync.WaitGroup
	defer member.Wait()
	defer stopMember()
	member.Go(func() { a.member.run(memberCtx) })
	stop := context.AfterFunc(ctx, func() {
		// A member that still waits for the others has nothing to write; without this, nothing would end it.
		if !a.connected.Load() {
			stopMember()
		}
	})
	defer stop()

	rest.Go(func() { a.session(ctx, files, signer) })
	rest.Go(func() { signer.run(ctx) })
	rest.Go(func() { a.observe.run(ctx) })
	a.loop(ctx, links)
	cancel()
	rest.Wait()
	for range links { // until the watch has ended
	}
	log.Info("agent stops; networks stay as they are")
	return nil
}

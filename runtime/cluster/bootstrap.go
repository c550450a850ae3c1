package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"berth/placement"
	"berth/runtime/agent"
	"berth/runtime/engine"
	"berth/runtime/identity"
	"berth/runtime/store/external"
)

// AgentName is the name of the agent's container and of the volume that is its folder.
const AgentName = "berth-agent"

// agentSocketDir is where the folder of the host's engine socket stands inside the agent's container. It is the folder and
// not the socket, because an engine makes that anew when it starts: an agent that lives through its engine's restart
// (live-restore) would hold the old one for ever.
const agentSocketDir = "/run/engine"

// socketOf is the host's engine socket, there and inside the agent's container.
func socketOf(h placement.InventoryHost) (there, inside string) {
	there = h.Socket
	if there == "" {
		there = "/var/run/docker.sock"
	}
	return there, path.Join(agentSocketDir, path.Base(there))
}

func newID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	return hex.EncodeToString(b[:])
}

// bootstrap makes the cluster: a CA, an agent on each host that answers, the embedded store on the first of them (on
// the first three, when there are three). Killed half-way, the next command finds the access on a member and
// completes it (see complete), or finds none and starts over.
func (c *Cluster) bootstrap(ctx context.Context, snaps []engine.Snapshot) (*Access, error) {
	var hosts []placement.InventoryHost
	for i, s := range snaps {
		if s.Host.State == placement.Ready {
			hosts = append(hosts, c.inv.Hosts[i])
		}
	}
	members := 1
	if len(hosts) >= 3 {
		members = 3
	}
	id := newID()
	ca, err := identity.NewCA(id)
	if err != nil {
		return nil, err
	}
	cli, err := identity.Issue(ca, identity.Subject{Name: identity.CommandLine, Life: c.opts.CertLife})
	if err != nil {
		return nil, err
	}
	a := &Access{Cluster: id, CA: ca.Cert, Cert: cli.Cert, Key: cli.Key, Seal: newSealKey()}
	for _, h := range hosts[:members] {
		addr, err := c.underlay(ctx, h)
		if err != nil {
			return nil, err
		}
		a.Members = append(a.Members, h.Name)
		a.Endpoints = append(a.Endpoints, "https://"+netip.AddrPortFrom(addr, ClientPort).String())
		a.Peers = append(a.Peers, "https://"+netip.AddrPortFrom(addr, PeerPort).String())
	}
	return a, c.installAll(ctx, hosts, a, installation{caKey: ca.Key, begins: true})
}

// installation is what agents are put on hosts with, beside the access.
type installation struct {
	caKey  []byte // nil with an external store
	begins bool   // the store begins: those of the hosts that are to be its members are
	began  bool   // it has begun before: those that have no data must not begin it a second time
	// admissions are those of hosts that had been refused, by name. The others get any.
	admissions map[string]string
}

// installAll puts agents on hosts that have none of this cluster's, all at once.
func (c *Cluster) installAll(ctx context.Context, hosts []placement.InventoryHost, a *Access, with installation) error {
	if len(hosts) == 0 {
		return nil
	}
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	c.opts.Notify("putting the berth agent on " + strings.Join(names, ", ") + " (once for each host)")
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, h := range hosts {
		g.Go(func() error {
			cfg, files, err := c.describe(ctx, h, a, with)
			if err != nil {
				return err
			}
			return c.install(ctx, h, cfg, files)
		})
	}
	return g.Wait()
}

// describe makes a host's agent configuration and the files that go with it.
func (c *Cluster) describe(ctx context.Context, h placement.InventoryHost, a *Access, with installation) (agent.Config, map[string][]byte, error) {
	addr, err := c.underlay(ctx, h)
	if err != nil {
		return agent.Config{}, nil, err
	}
	cfg := agent.Config{Cluster: a.Cluster, Host: h.Name, Address: addr, CertLife: int64(c.opts.CertLife.Seconds())}
	if len(a.CA) == 0 {
		files, err := c.externalFiles(&cfg)
		if err == nil {
			files[sealKeyFile] = a.Seal
		}
		return cfg, files, err
	}
	cfg.Store.Endpoints, cfg.Store.TLS = a.Endpoints, true
	own, err := c.issueFor(h.Name, addr, a, with)
	if err != nil {
		return cfg, nil, err
	}
	files := map[string][]byte{agent.CAFile: a.CA, agent.CertFile: own.One()}
	if with.begins {
		files[agent.RefusedFile] = []byte("{}") // of a cluster before this one: its authority is another
	}
	if i := slices.Index(a.Members, h.Name); i >= 0 && with.begins {
		cfg.Store.Member = &agent.Member{
			Name: h.Name, ClientURL: a.Endpoints[i], PeerURL: a.Peers[i], Initial: map[string]string{}, Token: a.Cluster,
			Began: with.began,
		}
		for j, m := range a.Members {
			cfg.Store.Member.Initial[m] = a.Peers[j]
		}
		files[agent.CAKeyFile] = with.caKey
		files[agent.AccessFile], err = json.Marshal(a)
	}
	return cfg, files, err
}

// issueFor makes a host's certificate.
func (c *Cluster) issueFor(host string, addr netip.Addr, a *Access, with installation) (identity.KeyPair, error) {
	admission := with.admissions[host]
	if admission == "" {
		admission = identity.NewAdmission()
	}
	return identity.Issue(identity.KeyPair{Cert: a.CA, Key: with.caKey},
		identity.Subject{Name: host, Admission: admission, IPs: []netip.Addr{addr}, Life: c.opts.CertLife})
}

// externalFiles hands the address of an external store to an agent, with the certificates and secrets that it names
// beside the inventory: they lie in the agent's volume, not in its configuration.
func (c *Cluster) externalFiles(cfg *agent.Config) (map[string][]byte, error) {
	address, content, err := external.Ship(c.inv.Store, filepath.Dir(c.inv.Path))
	if err != nil {
		return nil, fmt.Errorf("inventory %s: %w", c.inv.Path, err)
	}
	cfg.Store.Address = address
	files := map[string][]byte{}
	for name, b := range content {
		files[agent.Dir+"/"+name] = b
	}
	return files, nil
}

// install makes the host's agent container anew: image, container, files, start. The agent's volume and what is in it
// stay, also the store member of this cluster that may be there.
func (c *Cluster) install(ctx context.Context, h placement.InventoryHost, cfg agent.Config, files map[string][]byte) error {
	binary, version, err := c.binary()
	if err != nil {
		return err
	}
	socket, inside := socketOf(h)
	cfg.Version, cfg.Socket = version, inside
	e := c.engines[h.Name]
	if err := runsHere(ctx, e, h.Name); err != nil {
		return err
	}
	if err := ensureImage(ctx, e, binary, version); err != nil {
		return err
	}
	if err := e.Remove(ctx, AgentName, false); err != nil {
		return err
	}
	id, err := e.CreateAgent(ctx, engine.AgentSpec{
		Name: AgentName, Image: agentRef(version), Cluster: cfg.Cluster, Version: version,
		Cmd: []string{"/berth", "agent"}, Volume: AgentName, Dir: agent.Dir, Socket: socket, SocketTarget: inside,
	})
	if err != nil {
		return err
	}
	if cfg.Store.Member == nil && c.embedded() {
		if old, err := c.agentConfig(ctx, h.Name); err == nil && old.Cluster == cfg.Cluster {
			cfg.Store.Member = old.Store.Member
		}
	}
	if files[agent.ConfigFile], err = json.Marshal(cfg); err != nil {
		return err
	}
	if err := e.CopyTo(ctx, id, "/", tarFiles(files)); err != nil {
		return err
	}
	return e.Start(ctx, id)
}

// runsHere fails for a host that cannot run this program, which is what its agent would be.
func runsHere(ctx context.Context, e *engine.Engine, host string) error {
	snap, err := e.Observe(ctx, engine.Query{})
	if err != nil {
		return err
	}
	there, here := snap.Host.OS+"/"+snap.Host.Arch, runtime.GOOS+"/"+runtime.GOARCH
	if snap.Host.State == placement.Ready && there != here {
		return fmt.Errorf("host %s is %s and this berth is %s: its agent is made from the running program; use a berth built for %s, or take the host out of the inventory",
			host, there, here, there)
	}
	return nil
}

// tarFiles packs absolute paths, readable by root alone.
func tarFiles(files map[string][]byte) io.Reader {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		// Writes to a bytes.Buffer do not fail, and the headers are well-formed.
		_ = w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(name, "/"), Mode: 0o600, Size: int64(len(content))})
		_, _ = w.Write(content)
	}
	_ = w.Close()
	return &b
}

// binary is the program that agents run, and its version.
func (c *Cluster) binary() (path, version string, err error) {
	if path, err = os.Executable(); err != nil {
		return "", "", err
	}
	version, err = BinaryVersion(path)
	return path, version, err
}

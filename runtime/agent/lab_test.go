package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/versions"

	"berth/fixtures/lab/lab"
	"berth/placement"
	"berth/runtime/agent"
	"berth/runtime/engine"
	"berth/runtime/identity"
	"berth/runtime/ledger"
	"berth/runtime/store"
	"berth/runtime/store/etcd"
)

// asAgent, as first argument, makes the test binary the agent of the lab's host that it is run on; the second is the
// path of its setup.
const asAgent = "agent-under-test"

// setup is what a test hands to the agent.
type setup struct {
	Config agent.Config
	Files  agent.Files
}

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == asAgent {
		if err := beAgent(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(lab.Main(m))
}

func beAgent(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s setup
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := os.WriteFile(path+".pid", fmt.Append(nil, os.Getpid()), 0o600); err != nil {
		return err
	}
	e, err := engine.Connect(placement.InventoryHost{Name: s.Config.Host, Address: "unix://" + s.Config.Socket})
	if err != nil {
		return err
	}
	defer e.Close()
	return agent.RunWith(ctx, s.Config, e, s.Files, slog.New(slog.NewTextHandler(os.Stderr, nil)).With("host", s.Config.Host))
}

const (
	testNetwork = "shop_default"
	testVNI     = 1<<20 + 1
	storePort   = "23579"
	peerPort    = "23580"
)

// bed is a lab with an agent on each host and a client of their store.
type bed struct {
	t      *testing.T
	lab    *lab.Lab
	st     store.Store
	dir    string
	agents map[string]*process

	mu      sync.Mutex
	keys    map[string][]byte // what the store holds, kept by a watch
	changed chan struct{}
}

// process is a running agent.
type process struct {
	cmd *exec.Cmd
	log *syncBuffer
}

func newBed(t *testing.T, hosts int) *bed {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real engines")
	}
	b := &bed{t: t, lab: lab.Start(t, lab.Hosts(hosts), lab.Images(lab.Busybox)), dir: t.TempDir(),
		agents: map[string]*process{}, keys: map[string][]byte{}, changed: make(chan struct{})}
	ca, err := identity.NewCA("test")
	must(t, err)
	first := b.lab.Hosts()[0].Address()
	for i, h := range b.lab.Hosts() {
		addr := netip.MustParseAddr(h.Address())
		pair, err := identity.Issue(ca, identity.Subject{Name: h.Name(), IPs: []netip.Addr{addr}})
		must(t, err)
		dir := filepath.Join(b.dir, h.Name())
		must(t, os.Mkdir(dir, 0o755))
		s := setup{
			Config: agent.Config{Cluster: "test", Host: h.Name(), Address: addr, Socket: "/run/docker.sock", Version: "v1",
				Store: agent.StoreConfig{Endpoints: []string{"https://" + first + ":" + storePort}, TLS: true}},
			Files: agent.Files{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"),
				Data: filepath.Join(dir, "etcd"), Marker: filepath.Join(dir, "marker"), Known: filepath.Join(dir, "known")},
		}
		if i == 0 {
			peer := "https://" + first + ":" + peerPort
			s.Config.Store.Member = &agent.Member{Name: h.Name(), ClientURL: s.Config.Store.Endpoints[0], PeerURL: peer,
				Initial: map[string]string{h.Name(): peer}, Token: "test"}
		}
		for path, content := range map[string][]byte{s.Files.CA: ca.Cert, s.Files.Cert: pair.Cert, s.Files.Key: pair.Key} {
			must(t, os.WriteFile(path, content, 0o600))
		}
		raw, err := json.Marshal(s)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "setup.json"), raw, 0o600))
		b.start(h)
	}
	client, err := identity.Issue(ca, identity.Subject{Name: "test"})
	must(t, err)
	tlsConfig, err := identity.ClientConfig(ca.Cert, client)
	must(t, err)
	b.st, err = etcd.Open(t.Context(), etcd.Config{Endpoints: []string{first + ":" + storePort}, TLS: tlsConfig, Timeout: lab.Patience})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for batch := range b.st.Watch(ctx, ledger.Root, 0) {
			b.take(batch)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		b.st.Close()
		for _, h := range b.lab.Hosts() {
			b.stop(h, syscall.SIGTERM)
		}
		if t.Failed() {
			for name, p := range b.agents {
				t.Logf("agent of %s:\n%s", name, p.log)
			}
		}
	})
	for _, h := range b.lab.Hosts() {
		b.await("the agent of "+h.Name()+" holds its lease", func(keys map[string][]byte) bool {
			return keys[ledger.AliveKey(h.Name())] != nil && keys[ledger.HostKey(h.Name())] != nil
		})
	}
	return b
}

func (b *bed) take(batch store.Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range batch.Events {
		if e.Deleted {
			delete(b.keys, e.Key)
		} else {
			b.keys[e.Key] = e.Value
		}
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

// await waits for the store to hold something.
func (b *bed) await(what string, holds func(keys map[string][]byte) bool) {
	b.t.Helper()
	limit := time.NewTimer(lab.Patience)
	defer limit.Stop()
	for {
		ok, changed := b.look(holds)
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			b.t.Fatalf("not within %s: %s", lab.Patience, what)
		}
	}
}

// look lets holds see the store's keys; it may end the test.
func (b *bed) look(holds func(keys map[string][]byte) bool) (bool, chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return holds(b.keys), b.changed
}

func (b *bed) start(h *lab.Host) {
	b.t.Helper()
	self, err := os.Executable()
	must(b.t, err)
	cmd, err := h.Command(context.Background(), self, asAgent, filepath.Join(b.dir, h.Name(), "setup.json"))
	must(b.t, err)
	p := &process{cmd: cmd, log: &syncBuffer{}}
	cmd.Stderr = p.log
	must(b.t, cmd.Start())
	b.agents[h.Name()] = p
}

// stop ends the agent of a host, by its process ID there.
func (b *bed) stop(h *lab.Host, sig syscall.Signal) {
	b.t.Helper()
	p := b.agents[h.Name()]
	if p == nil || p.cmd.ProcessState != nil {
		return
	}
	if pid, err := os.ReadFile(filepath.Join(b.dir, h.Name(), "setup.json.pid")); err == nil {
		_, _ = h.Run(context.Background(), "kill", fmt.Sprintf("-%d", int(sig)), string(pid))
	}
	_ = p.cmd.Wait()
}

// put commits records as the command line does.
func (b *bed) put(records map[string]any, deletes ...string) int64 {
	b.t.Helper()
	txn := store.Txn{Deletes: deletes}
	for key, v := range records {
		raw, err := json.Marshal(v)
		must(b.t, err)
		txn.Puts = append(txn.Puts, store.Put{Key: key, Value: raw})
	}
	rev, err := b.st.Commit(b.t.Context(), txn)
	must(b.t, err)
	return rev
}

// network is a record with a block for each host, 10.200.<i>.0/24.
func (b *bed) network() placement.Network {
	n := placement.Network{Name: testNetwork, Project: "shop", Key: "default", VNI: testVNI, Subnet: netip.MustParsePrefix("10.200.0.0/16"),
		Blocks: map[string]placement.Block{}}
	for i, h := range b.lab.Hosts() {
		n.Blocks[h.Name()] = placement.Block{Range: netip.MustParsePrefix(fmt.Sprintf("10.200.%d.0/24", i)),
			Gateway: netip.MustParseAddr(fmt.Sprintf("10.200.%d.1", i))}
	}
	return n
}

func endpoint(host, service string, number int) placement.Endpoint {
	ip := netip.AddrFrom4([4]byte{10, 200, 100, byte(10*len(service) + number)})
	return placement.Endpoint{Network: testNetwork, Container: fmt.Sprintf("shop-%s-%d", service, number), Host: host, Project: "shop",
		Service: service, Number: number, IP: ip, MAC: placement.MACFor(ip)}
}

// ready waits until the network stands on all hosts as of a revision.
func (b *bed) ready(revision int64) {
	b.t.Helper()
	for _, h := range b.lab.Hosts() {
		b.await("the network is ready on "+h.Name(), func(keys map[string][]byte) bool {
			var r ledger.Ready
			raw := keys[ledger.ReadyKey(testNetwork, h.Name())]
			if raw == nil {
				return false
			}
			must(b.t, json.Unmarshal(raw, &r))
			if r.Revision >= revision && r.Problem != "" {
				b.t.Fatalf("%s: %s", h.Name(), r.Problem)
			}
			return r.Revision >= revision && r.EngineNetwork != ""
		})
	}
}

// run starts a container at its endpoint, as the command line does.
func (b *bed) run(e placement.Endpoint, health ...string) {
	b.t.Helper()
	c := b.host(e.Host).Client(b.t)
	_, err := c.Ping(b.t.Context())
	must(b.t, err)
	how := placement.Join{DriverOpts: map[string]string{"made.with": "this"}}
	record, err := json.Marshal(placement.ContainerRecord{Joins: map[string]placement.Join{e.Network: how}})
	must(b.t, err)
	config := &container.Config{Image: lab.Busybox, Cmd: []string{"sleep", "1000"}, Labels: map[string]string{placement.RecordLabel: string(record)}}
	if health != nil {
		config.Healthcheck = &container.HealthConfig{Test: health, Interval: 500 * time.Millisecond, Retries: 1}
	}
	place := &network.EndpointSettings{DriverOpts: how.DriverOpts, IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: e.IP.String()}}
	if c.NegotiateAPIVersion(b.t.Context()); versions.LessThan(c.ClientVersion(), "1.44") {
		config.MacAddress = e.MAC //nolint:staticcheck // the only way on old engines
	} else {
		place.MacAddress = e.MAC
	}
	made, err := c.ContainerCreate(b.t.Context(), config,
		&container.HostConfig{NetworkMode: container.NetworkMode(e.Network), DNS: []string{b.network().Blocks[e.Host].Gateway.String()}},
		&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{e.Network: place}}, nil, e.Container)
	must(b.t, err)
	must(b.t, c.ContainerStart(b.t.Context(), made.ID, container.StartOptions{}))
}

func (b *bed) host(name string) *lab.Host {
	b.t.Helper()
	h, err := b.lab.Host(name)
	must(b.t, err)
	return h
}

// on runs a command on a host.
func (b *bed) on(host string, args ...string) string {
	b.t.Helper()
	out, err := b.host(host).Run(b.t.Context(), args...)
	if err != nil {
		b.t.Fatalf("%s: %s: %v", host, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(out)
}

// inside runs a command in an endpoint's container.
func (b *bed) inside(e placement.Endpoint, args ...string) (string, error) {
	out, err := b.host(e.Host).Run(b.t.Context(), append([]string{"docker", "exec", e.Container}, args...)...)
	return strings.TrimSpace(out), err
}

// resolves reports whether a name has exactly these addresses for a container.
func (b *bed) resolves(from placement.Endpoint, name string, want ...placement.Endpoint) bool {
	out, _ := b.inside(from, "nslookup", "-type=a", name)
	_, answer, _ := strings.Cut(out, name)
	for _, e := range want {
		if !strings.Contains(answer, e.IP.String()) {
			return false
		}
	}
	return strings.Count(answer, "Address") == len(want)
}

// eventually tries until something outside the store holds.
func (b *bed) eventually(what string, holds func() bool) time.Duration {
	b.t.Helper()
	begin := time.Now()
	if !lab.Happens(holds) {
		b.t.Fatalf("not within %s: %s", lab.Patience, what)
	}
	return time.Since(begin)
}

func (b *bed) running(e placement.Endpoint) {
	b.t.Helper()
	b.await(e.Container+" is reported running", func(keys map[string][]byte) bool {
		var s ledger.State
		raw := keys[ledger.StateKey(e.Host, e.Container)]
		return raw != nil && json.Unmarshal(raw, &s) == nil && s.Serving()
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// syncBuffer is a buffer that a process writes and a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

var _ io.Writer = (*syncBuffer)(nil)

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

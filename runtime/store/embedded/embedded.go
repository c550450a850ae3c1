// Package embedded runs an etcd member inside the agent. Clients reach it with the driver in runtime/store/etcd; only
// the agent links this package, because it is large.
package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"

	"berth/runtime/identity"
	"berth/runtime/store"
	_ "berth/runtime/store/embedded/uncounted"
)

// ErrDataGone says that the other members know this one, but its data folder is empty: it cannot take up where it was.
var ErrDataGone = errors.New("its data is gone, but the other members know it")

// BeginsPath is the part of the peer URL that is not etcd's, see Config.
const BeginsPath = "/berth/"

// What a member is set to, where etcd's own defaults do not fit one transaction per `up`.
const (
	maxTxnOps       = 4096
	maxRequestBytes = 10 << 20 // etcd warns above this; the driver in runtime/store/etcd sends no more
	quotaBytes      = 1 << 30  // of the database on disk; berth keeps some KB per container
	// Members of a cluster are on one LAN. A shorter election would move the leader whenever a busy host stalls for a
	// moment; this finds a new one in 1–2 s. Leases cannot be shorter than one and a half election times.
	// Heartbeats are most of what an idle agent does: 1.5 % of a core with one every 100 ms, 1.1 % with this.
	heartbeat = 200 * time.Millisecond
	election  = 1000 * time.Millisecond
	// history is how far back a watch can take up again.
	history = "1h"
)

// Config is one member's part in an embedded store.
type Config struct {
	Name    string // of this member, a key of Initial
	DataDir string // made if it is not there; must outlive restarts
	// ClientURL and PeerURL are https://address:port to listen on and to tell others.
	ClientURL string
	PeerURL   string
	// Initial is member name → peer URL of the members the cluster starts with, or that it has when this one joins.
	// Without effect once DataDir holds a member.
	Initial map[string]string
	// Joins says that the cluster exists and has been told of this member.
	Joins bool
	// Alone makes the member, which has data, the only one of its cluster: the others are lost for ever. Whoever has their
	// data must not be reached by clients any more.
	Alone bool
	// First is put, in one transaction, before any client is served.
	First []store.Put
	Token string // cluster ID: members of another cluster are refused
	// CAFile, CertFile and KeyFile are PEM files: the cluster's authority and this host's certificate, which must hold
	// store.ServerName. Both listeners take only clients with a certificate of the same authority. The certificate is
	// read anew for each connection. KeyFile may be CertFile.
	CAFile, CertFile, KeyFile string
	Gate                      *identity.Gate // who is let in; nil: whoever the authority knows
	Log                       io.Writer      // warnings and errors, one line each; nil drops them
	// Begins answers what other members ask below BeginsPath at the peer URL, until this one serves; nil leaves it to etcd.
	Begins http.Handler
	// Quota is how many bytes the database may have on disk; 0 is 1 GiB. SpaceEvery is the time between two looks whether it has;
	// 0 is 30 s.
	Quota      int64
	SpaceEvery time.Duration
}

// Server is a running member.
type Server struct {
	etcd    *embed.Etcd
	streams *streams
	door    *door
	peers   *peers
	stop    sync.Once

	spacing context.CancelFunc
	space   sync.WaitGroup
}

// Start starts the member, new or from what DataDir holds, and returns when it serves: for the first start that is
// when most members of Initial are up. When ctx ends before, the member is stopped again.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{streams: newStreams()}
	s.door = newDoor(cfg.First, s.streams.ctx.Done())
	gate, err := cfg.gate()
	if err != nil {
		return nil, fmt.Errorf("embedded store: member %s: %w", cfg.Name, err)
	}
	ec, err := cfg.etcd(s, gate)
	if err != nil {
		return nil, fmt.Errorf("embedded store: member %s: %w", cfg.Name, err)
	}
	if err := cfg.awaitTurn(ctx); err != nil {
		return nil, fmt.Errorf("embedded store: member %s: %w", cfg.Name, err)
	}
	peer, _ := listenURL("peer", cfg.PeerURL) // has been read before
	if s.peers, err = listenPeers(peer, gate, cfg.Log); err != nil {
		return nil, fmt.Errorf("embedded store: member %s: %w", cfg.Name, err)
	}
	if s.etcd, err = embed.StartEtcd(ec); err != nil {
		s.peers.close()
		return nil, cfg.startError(err)
	}
	s.peers.serve(s.etcd, cfg.Begins)
	select {
	case <-s.etcd.Server.ReadyNotify():
		if err = s.putFirst(ctx, cfg.First); err == nil {
			spacing, cancel := context.WithCancel(context.Background())
			s.spacing = cancel
			s.space.Go(func() { s.keepSpace(spacing, cfg.quota(), cmp.Or(cfg.SpaceEvery, spaceEvery)) })
			return s, nil
		}
	case err = <-s.etcd.Err():
	case <-s.etcd.Server.StopNotify():
		err = errors.New("it stopped by itself")
	case <-ctx.Done():
		err = fmt.Errorf("it waits for the other members (%s): %w", cfg.others(), ctx.Err())
	}
	// Close waits for the client listeners, and those wait to become ready until the server stops.
	s.etcd.Server.HardStop()
	s.Stop()
	return nil, cfg.startError(err)
}

// ID is the member's ID in the cluster, as hexadecimal digits.
func (s *Server) ID() string { return s.etcd.Server.MemberID().String() }

// Ended is closed when the member has ended, by Stop or by itself.
func (s *Server) Ended() <-chan struct{} { return s.etcd.Server.StopNotify() }

// Removed reports whether the cluster has removed this member, as far as it was there to see it.
func (s *Server) Removed() bool { return s.etcd.Server.IsIDRemoved(uint64(s.etcd.Server.MemberID())) }

// Err delivers what ends a listener that Stop did not end.
func (s *Server) Err() <-chan error { return s.etcd.Err() }

// Stop hands leadership on, ends all requests, closes the listeners and the database, and waits until that is done:
// under a second, two when there is nobody to hand leadership to.
func (s *Server) Stop() {
	s.stop.Do(func() {
		if s.spacing != nil {
			s.spacing()
			defer s.space.Wait()
		}
		s.streams.end()
		if !s.handOver() {
			// Close would try again, for 7 s.
			s.etcd.Server.HardStop()
		}
		s.peers.close()
		s.etcd.Close()
	})
}

// handOver makes another member the leader if this one is. It reports whether there is nothing left to hand over.
func (s *Server) handOver() bool {
	moved := make(chan bool, 1)
	go func() { moved <- s.etcd.Server.TryTransferLeadershipOnShutdown() == nil }()
	select {
	case ok := <-moved:
		return ok
	case <-time.After(election):
		s.etcd.Server.HardStop() // ends the transfer too
		<-moved
		return false
	}
}

func (cfg Config) etcd(s *Server, gate *identity.Gate) (*embed.Config, error) {
	client, err := listenURL("client", cfg.ClientURL)
	if err != nil {
		return nil, err
	}
	peer, err := listenURL("peer", cfg.PeerURL)
	if err != nil {
		return nil, err
	}
	if _, ok := cfg.Initial[cfg.Name]; !ok {
		return nil, fmt.Errorf("it is not among the first members (%s)", strings.Join(slices.Sorted(maps.Keys(cfg.Initial)), ", "))
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make its folder: %w", err)
	}
	ec := embed.NewConfig()
	ec.Name, ec.Dir = cfg.Name, cfg.DataDir
	ec.ListenClientUrls, ec.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	ec.ListenPeerUrls, ec.AdvertisePeerUrls = nil, []url.URL{peer} // door.go listens
	// With its HTTP pages on another listener etcd serves gRPC with gRPC's own server, else through net/http, which
	// is slower and lets a busy stream starve watches (etcd issue 15402). Nobody needs the pages: they get a socket
	// without a port or a file, and the same certificates.
	ec.ListenClientHttpUrls = []url.URL{{Scheme: "unixs", Host: fmt.Sprintf("@berth-store-%s-%d-%s", cfg.Name, os.Getpid(), client.Port())}}
	ec.EnableGRPCGateway = false

	members := make([]string, 0, len(cfg.Initial))
	for _, name := range slices.Sorted(maps.Keys(cfg.Initial)) {
		members = append(members, name+"="+cfg.Initial[name])
	}
	ec.InitialCluster, ec.InitialClusterToken = strings.Join(members, ","), cfg.Token

	ec.ForceNewCluster = cfg.Alone
	if cfg.Joins {
		ec.ClusterState = embed.ClusterStateFlagExisting
	}

	ec.ClientTLSInfo, ec.PeerTLSInfo = cfg.tls(), cfg.tls()
	ec.TlsMinVersion = "TLS1.3"

	ec.TickMs, ec.ElectionMs = uint(heartbeat.Milliseconds()), uint(election.Milliseconds())
	ec.InitialElectionTickAdvance = true
	ec.PreVote = true
	ec.MaxTxnOps, ec.MaxRequestBytes = maxTxnOps, maxRequestBytes
	ec.QuotaBackendBytes = cfg.quota()
	ec.AutoCompactionMode, ec.AutoCompactionRetention = embed.CompactorModePeriodic, history
	// Clients of hosts that vanished are let go, and with them what their watches hold.
	ec.GRPCKeepAliveInterval, ec.GRPCKeepAliveTimeout = 30*time.Second, 10*time.Second
	ec.GRPCAdditionalServerOptions = []grpc.ServerOption{
		grpc.Creds(newGated(gate)), grpc.ChainStreamInterceptor(s.streams.intercept), // the last credentials count
		grpc.ChainUnaryInterceptor(s.door.unary),
	}
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger(cfg.Log))
	return ec, nil
}

// tls is this member's certificate towards others, and that of etcd's own HTTP pages.
func (cfg Config) tls() transport.TLSInfo {
	return transport.TLSInfo{
		CertFile: cfg.CertFile, KeyFile: cfg.KeyFile, TrustedCAFile: cfg.CAFile,
		ClientCertAuth: true,
		ServerName:     store.ServerName,
		// Or etcd refuses a host whose address is not the one in its certificate.
		SkipClientSANVerify: true,
	}
}

func (cfg Config) quota() int64 { return cmp.Or(cfg.Quota, quotaBytes) }

func (cfg Config) others() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(cfg.Initial)) {
		if name != cfg.Name {
			out = append(out, name+" at "+cfg.Initial[name])
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

func (cfg Config) startError(err error) error {
	if strings.Contains(err.Error(), "has already been bootstrapped") {
		return fmt.Errorf("embedded store: member %s: %w (%s); the next \"berth up\" replaces it: %w", cfg.Name, ErrDataGone, cfg.DataDir, err)
	}
	return fmt.Errorf("embedded store: member %s: start: %w", cfg.Name, err)
}

func listenURL(what, raw string) (url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Port() == "" {
		return url.URL{}, fmt.Errorf("its %s URL %q is not https://address:port", what, raw)
	}
	return *u, nil
}

func logger(w io.Writer) *zap.Logger {
	if w == nil {
		return zap.NewNop()
	}
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.RFC3339TimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(enc), zapcore.Lock(zapcore.AddSync(w)), zapcore.WarnLevel))
}

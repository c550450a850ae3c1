package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"berth/runtime/store"
	"berth/runtime/store/embedded"
	"berth/runtime/store/etcd"
	"berth/runtime/store/external"
)

// Pauses between attempts at what is not there yet: doubled from the first to the last.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 3 * time.Second
)

// retry calls f until it succeeds or ctx ends. The first failure of a row and then one a minute are logged.
func retry(ctx context.Context, log *slog.Logger, what string, f func(context.Context) error) error {
	pause := firstPause
	var said time.Time
	for {
		err := f(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(said) > time.Minute {
			said = time.Now()
			log.Warn(what+" failed, trying on", "err", err)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, lastPause)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// openStore connects to the store, for as long as it takes.
func openStore(ctx context.Context, c StoreConfig, files Files, log *slog.Logger) (store.Store, error) {
	var st store.Store
	err := retry(ctx, log, "connection to the store", func(ctx context.Context) error {
		if c.Address != "" {
			var err error
			st, err = external.Open(ctx, c.Address, filepath.Dir(files.CA), external.Options{})
			return err
		}
		cfg := etcd.Config{Endpoints: c.Endpoints}
		if c.TLS {
			var err error
			if cfg.TLS, err = clientTLS(c, files); err != nil {
				return err
			}
		}
		var err error
		st, err = etcd.Open(ctx, cfg)
		return err
	})
	if err != nil {
		if st != nil {
			st.Close()
		}
		return nil, err
	}
	return st, nil
}

// clientTLS uses those of the certificate files that are there: an external store may need only some.
func clientTLS(c StoreConfig, files Files) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	ca, err := os.ReadFile(files.CA)
	switch {
	case err == nil:
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("agent: %s holds no certificate", files.CA)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("agent: read the store's certificates: %w", err)
	}
	if _, err := os.Stat(files.Cert); err == nil {
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			return nil, fmt.Errorf("agent: read the store's certificates: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
		// A certificate with the store's name in it is from the cluster's own authority: the store is the embedded one.
		if out.ServerName == "" && slices.Contains(pair.Leaf.DNSNames, store.ServerName) {
			out.ServerName = store.ServerName
		}
	}
	return out, nil
}

// runMember keeps this host's member of the embedded store running until ctx ends.
func runMember(ctx context.Context, m Member, files Files, log *slog.Logger) {
	for ctx.Err() == nil {
		var server *embedded.Server
		err := retry(ctx, log, "start of the store member", func(ctx context.Context) error {
			var err error
			server, err = embedded.Start(ctx, embedded.Config{
				Name: m.Name, DataDir: files.Data, ClientURL: m.ClientURL, PeerURL: m.PeerURL, Initial: m.Initial,
				Token: m.Token, CAFile: files.CA, CertFile: files.Cert, KeyFile: files.Key, Log: os.Stderr,
			})
			return err
		})
		if err != nil {
			if server != nil {
				server.Stop()
			}
			return
		}
		log.Info("store member serves", "member", m.Name, "url", m.ClientURL)
		select {
		case <-ctx.Done():
		case err := <-server.Err():
			log.Error("store member ended, starting it again", "err", err)
		}
		server.Stop()
	}
}

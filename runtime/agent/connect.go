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

	"berth/runtime/identity"
	"berth/runtime/store"
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

// openStore connects to the store, for as long as it takes. failed is told why it does not come.
func openStore(ctx context.Context, settings *settings, files Files, failed func(error), log *slog.Logger) (store.Store, error) {
	var st store.Store
	err := retry(ctx, log, "connection to the store", func(ctx context.Context) error {
		c, _ := settings.store()
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
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		if errors.Is(err, store.ErrRefused) {
			_ = sleep(ctx, refusedPause)
		}
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

// refusedPause is between two attempts at a store that refuses this host.
const refusedPause = 10 * time.Second

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
		load := func() (*tls.Certificate, error) {
			pair, err := identity.Load(files.Cert, files.Key)
			if err != nil {
				return nil, fmt.Errorf("agent: read the store's certificates: %w", err)
			}
			return pair.TLS()
		}
		pair, err := load()
		if err != nil {
			return nil, err
		}
		// Read anew for each connection: it may have been renewed.
		out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
		// A certificate with the store's name in it is from the cluster's own authority: the store is the embedded one.
		if out.ServerName == "" && slices.Contains(pair.Leaf.DNSNames, store.ServerName) {
			out.ServerName = store.ServerName
		}
	}
	return out, nil
}

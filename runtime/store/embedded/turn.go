package embedded

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A new member asks the others, in the order of their peer URLs, whether they know it already, and gives each a second
// to answer; but none answers before it got its own answers. Members that start together so wait for each other, 2 s
// with three. When the first in that order goes ahead it finds nobody listening, which takes no time, and answers the
// rest at once.
const (
	turnLimit = time.Second // then the first is late or lost, and etcd's own way is no slower
	turnTry   = 200 * time.Millisecond
	turnPause = 20 * time.Millisecond
)

// awaitTurn returns when this member should start: at once if it is the first or has started before, else when the
// first one answers, or after turnLimit.
func (cfg Config) awaitTurn(ctx context.Context) error {
	urls := make([]string, 0, len(cfg.Initial))
	for _, u := range cfg.Initial {
		urls = append(urls, u)
	}
	first := slices.Min(urls)
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "member")); err == nil || first == cfg.Initial[cfg.Name] || cfg.Joins {
		return nil
	}
	tlsConfig, err := cfg.tls().ClientConfig()
	if err != nil {
		return fmt.Errorf("its certificate: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, turnLimit)
	defer cancel()
	client := http.Client{Timeout: turnTry, Transport: &http.Transport{TLSClientConfig: tlsConfig, DisableKeepAlives: true}}
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, first+"/members", nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			return nil
		}
		select {
		case <-time.After(turnPause):
		case <-ctx.Done():
		}
	}
	return nil
}

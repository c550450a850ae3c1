// Package engine is the one adapter around the Docker Engine API: every call berth makes to an engine goes through an
// [Engine], and nothing else in berth knows the API's types. Engines from 20.10 (API 1.41) on are supported; what
// differs between versions is dealt with here.
//
// Where to look: engine.go, ssh*.go and dockercontext.go connect; observe.go asks, observe_sort.go and list.go sort the
// answers; convert*.go turn a compose service into an engine's container (pure), files.go its secrets and configs;
// create.go makes it; equal*.go compare what runs with what would be made, adopt.go for what docker compose made;
// lifecycle.go, release.go, network.go, bridge.go and volume.go act; image*.go pull, send and name images, build*.go make them;
// seed.go and tree.go fill volumes; events.go, eventquery.go and await.go wait; logs.go, copy.go, exec.go, usage.go and
// hooks.go stream; agent.go makes berth's own container, mark.go what stands for a lock; errors.go makes one sentence of
// what engines refuse.
package engine

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"berth/placement"
)

// minimumAPI is the oldest API version berth talks to: Docker 20.10's.
const minimumAPI = "1.41"

// idleConnections is how many connections to one engine stay open between requests. Commands keep up to 16 requests in
// flight on a host; over ssh each new connection would be a new process.
const idleConnections = 32

// Engine is one host's Docker engine. All methods are safe for concurrent use.
type Engine struct {
	host    placement.InventoryHost
	address string // what is dialled: the inventory's address or the one of its docker context
	base    string // URL that requests past the client start with
	api     *client.Client
	exits   *exits
	checked checkedImages

	config func() (*configfile.ConfigFile, error) // docker's own configuration, read once
}

// Connect prepares the connection to a host's engine. It does no I/O beyond reading the docker context and TLS files
// that the host names; whether the engine answers shows at the first call.
//
// Addresses are unix://PATH, tcp://HOST:PORT (with h.TLS over TLS) and ssh://[USER@]HOST[:PORT], or the one of the
// docker context h.Context.
func Connect(h placement.InventoryHost) (*Engine, error) {
	e := &Engine{host: h, address: h.Address, exits: newExits()}
	e.config = sync.OnceValues(loadConfig)
	var secure *tls.Config
	var err error
	switch {
	case h.Context != "" && h.Context != defaultContext:
		e.address, secure, err = contextEndpoint(h.Context)
	case h.Address == "":
		e.address = client.DefaultDockerHost
	}
	if err == nil && h.TLS != "" {
		secure, err = tlsFolder(h.TLS)
	}
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", h.Name, err)
	}
	opts, err := e.transport(secure)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", h.Name, err)
	}
	e.api, err = client.NewClientWithOpts(append(opts, client.WithAPIVersionNegotiation())...)
	if err != nil {
		return nil, fmt.Errorf("host %s: address %q: %w; use unix://, tcp:// or ssh://", h.Name, e.address, err)
	}
	return e, nil
}

// transport gives the client options that reach e.address.
func (e *Engine) transport(secure *tls.Config) ([]client.Opt, error) {
	u, err := url.Parse(e.address)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", e.address, err)
	}
	t := &http.Transport{MaxIdleConns: idleConnections, MaxIdleConnsPerHost: idleConnections, IdleConnTimeout: 30 * time.Second}
	httpClient := client.WithHTTPClient(&http.Client{Transport: t, CheckRedirect: client.CheckRedirect})
	e.base = "http://" + client.DummyHost
	if u.Scheme == "ssh" {
		dial, err := sshDialer(e.address, e.host)
		if err != nil {
			return nil, err
		}
		return []client.Opt{httpClient, client.WithHost(sshHost), client.WithDialContext(dial)}, nil
	}
	t.TLSClientConfig = secure
	if u.Scheme == "tcp" || u.Scheme == "http" || u.Scheme == "https" {
		scheme := "http"
		if secure != nil {
			scheme = "https"
		}
		e.base = scheme + "://" + u.Host + u.Path
	}
	return []client.Opt{httpClient, client.WithHost(e.address)}, nil
}

// Host is the host's name in the inventory.
func (e *Engine) Host() string { return e.host.Name }

// Address is what is dialled: the inventory's address, or the one of the host's docker context.
func (e *Engine) Address() string { return e.address }

// Close drops the idle connections. Calls in flight end with their contexts.
func (e *Engine) Close() error { return e.api.Close() }

// version is the API version agreed with the engine. The first call asks it.
func (e *Engine) version(ctx context.Context) (string, error) {
	if err := e.api.NewVersionError(ctx, minimumAPI, "berth"); err != nil {
		return "", err
	}
	return e.api.ClientVersion(), nil
}

// Ping connects to the engine and learns its API version.
func (e *Engine) Ping(ctx context.Context) error {
	if _, err := e.version(ctx); err != nil {
		return e.fail("connect", "", err)
	}
	return nil
}

// greet asks for the headers that come with every answer: Date, Server ("Docker/20.10.24 (linux)"), Ostype. It costs the
// engine nothing, where its version call starts two programs.
func (e *Engine) greet(ctx context.Context) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, e.base+"/_ping", nil)
	if err != nil {
		return nil, err
	}
	res, err := e.api.HTTPClient().Do(req)
	if err != nil {
		return nil, err
	}
	return res.Header, res.Body.Close()
}

// atLeast compares API versions numerically.
func atLeast(version, wanted string) bool { return versions.GreaterThanOrEqualTo(version, wanted) }

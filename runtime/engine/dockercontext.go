package engine

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	dockercontext "github.com/docker/cli/cli/context"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/tlsconfig"

	"berth/placement"
)

// defaultContext is docker's name for "DOCKER_HOST, or the local socket".
const defaultContext = "default"

// dockerEndpoint is the key of the engine's endpoint in a docker context.
const dockerEndpoint = "docker"

// Local finds the one engine that a command without an inventory works on, by docker's own rules: DOCKER_HOST (with
// DOCKER_TLS_VERIFY and DOCKER_CERT_PATH), else DOCKER_CONTEXT, else the context that `docker context use` chose, else
// the local socket. The host is named "local".
func Local(environ func(string) string) (placement.InventoryHost, error) {
	h := placement.InventoryHost{Name: "local"}
	dir := configDir(environ)
	if address := environ("DOCKER_HOST"); address != "" {
		if _, err := client.ParseHostURL(address); err != nil {
			return h, fmt.Errorf("DOCKER_HOST %q: %w; use unix://, tcp:// or ssh://", address, err)
		}
		h.Address = address
		if environ("DOCKER_TLS_VERIFY") != "" || environ("DOCKER_TLS") != "" {
			if h.TLS = environ("DOCKER_CERT_PATH"); h.TLS == "" {
				h.TLS = dir
			}
		}
		return h, nil
	}
	h.Context = environ("DOCKER_CONTEXT")
	if h.Context == "" {
		file, err := config.Load(dir)
		if err != nil {
			return h, fmt.Errorf("docker configuration: %w", err)
		}
		h.Context = file.CurrentContext
	}
	if h.Context == "" || h.Context == defaultContext {
		h.Context, h.Address = "", client.DefaultDockerHost
	}
	return h, nil
}

// configDir is where docker keeps its client configuration.
func configDir(environ func(string) string) string {
	if d := environ("DOCKER_CONFIG"); d != "" {
		return d
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/"
	}
	return filepath.Join(home, ".docker")
}

func loadConfig() (*configfile.ConfigFile, error) {
	file, err := config.Load(configDir(os.Getenv))
	if err != nil {
		return nil, fmt.Errorf("docker configuration: %w", err)
	}
	return file, nil
}

// DetachKeys are the keys that docker's configuration names to leave a container by; "" where it does not.
func (e *Engine) DetachKeys() string {
	file, err := e.config()
	if err != nil {
		return "" // a broken configuration is reported where it is needed, by a pull
	}
	return file.DetachKeys
}

// contextEndpoint reads the engine address and TLS material of a docker context.
func contextEndpoint(name string) (string, *tls.Config, error) {
	type endpoint = dockercontext.EndpointMetaBase
	contexts := store.New(filepath.Join(configDir(os.Getenv), "contexts"), store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter(dockerEndpoint, func() any { return &endpoint{} })))
	meta, err := contexts.GetMetadata(name)
	if err != nil {
		return "", nil, fmt.Errorf("docker context %q: %w; \"docker context ls\" shows what there is", name, err)
	}
	ep, ok := meta.Endpoints[dockerEndpoint].(endpoint)
	if !ok || ep.Host == "" {
		return "", nil, fmt.Errorf("docker context %q names no docker engine", name)
	}
	material, err := dockercontext.LoadTLSData(contexts, name, dockerEndpoint)
	if err != nil {
		return "", nil, fmt.Errorf("docker context %q: %w", name, err)
	}
	if material == nil && !ep.SkipTLSVerify {
		return ep.Host, nil, nil
	}
	secure := tlsconfig.ClientDefault(func(c *tls.Config) { c.InsecureSkipVerify = ep.SkipTLSVerify })
	if material != nil && material.CA != nil {
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(material.CA) {
			return "", nil, fmt.Errorf("docker context %q: its ca.pem holds no certificate", name)
		}
	}
	if material != nil && material.Cert != nil && material.Key != nil {
		pair, err := tls.X509KeyPair(material.Cert, material.Key)
		if err != nil {
			return "", nil, fmt.Errorf("docker context %q: %w", name, err)
		}
		secure.Certificates = []tls.Certificate{pair}
	}
	return ep.Host, secure, nil
}

// tlsFolder reads ca.pem, cert.pem and key.pem of a folder.
func tlsFolder(dir string) (*tls.Config, error) {
	opts := tlsconfig.Options{
		CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "cert.pem"),
		KeyFile: filepath.Join(dir, "key.pem"), ExclusiveRootPools: true,
	}
	for _, f := range []string{opts.CAFile, opts.CertFile, opts.KeyFile} {
		if _, err := os.Stat(f); errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("TLS folder %s: %s is missing; it must hold ca.pem, cert.pem and key.pem", dir, filepath.Base(f))
		}
	}
	c, err := tlsconfig.Client(opts)
	if err != nil {
		return nil, fmt.Errorf("TLS folder %s: %w", dir, err)
	}
	return c, nil
}

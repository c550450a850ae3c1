package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// DefaultPort is etcd's client port, for addresses without one.
const DefaultPort = "2379"

// ParseURL reads where an external etcd is, as store: in hosts.yml says it:
//
//	etcd://10.0.0.1,10.0.0.2:2379                      plain text
//	etcds://etcd.lan                                   TLS, the system's certificate authorities
//	etcd://etcd.lan?ca=ca.pem&cert=me.pem&key=me.key   TLS with an authority, and a certificate to show, of one's own
//	etcd://10.0.0.1?ca=ca.pem&name=etcd.lan            TLS, the certificate is for another name than is dialled
//
// Relative files lie in dir. ca, and cert with key, may each stand alone.
func ParseURL(raw, dir string) (Config, error) {
	cfg, err := parse(raw, dir)
	if err != nil {
		return Config{}, fmt.Errorf("store: %s: %w; write store: etcd://host:2379,host:2379 in hosts.yml", raw, err)
	}
	return cfg, nil
}

func parse(raw, dir string) (Config, error) {
	// Not url.Parse: it takes one host only.
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || (scheme != "etcd" && scheme != "etcds") {
		return Config{}, errors.New("it is no etcd:// or etcds:// address")
	}
	hosts, query, _ := strings.Cut(rest, "?")
	cfg := Config{}
	for _, h := range strings.Split(strings.TrimSuffix(hosts, "/"), ",") {
		addr, err := hostPort(strings.TrimSpace(h))
		if err != nil {
			return Config{}, err
		}
		cfg.Endpoints = append(cfg.Endpoints, addr)
	}
	options, err := url.ParseQuery(query)
	if err != nil {
		return Config{}, fmt.Errorf("its options: %w", err)
	}
	for name := range options {
		switch name {
		case "ca", "cert", "key", "name":
		default:
			return Config{}, fmt.Errorf("there is no option %q, only ca, cert, key and name", name)
		}
	}
	if scheme == "etcds" || len(options) > 0 {
		cfg.TLS, err = tlsConfig(options, dir)
	}
	return cfg, err
}

func hostPort(h string) (string, error) {
	switch {
	case h == "":
		return "", errors.New("a host is missing")
	case strings.Contains(h, "@"):
		return "", errors.New("user names are not supported; let etcd know its users by certificate (cert= and key=)")
	case strings.Contains(h, "/"):
		return "", fmt.Errorf("%q is not a host", h)
	}
	if _, _, err := net.SplitHostPort(h); err == nil {
		return h, nil
	}
	host := strings.Trim(h, "[]")
	if _, err := netip.ParseAddr(host); err != nil && strings.Contains(host, ":") {
		return "", fmt.Errorf("%q is not a host", h)
	}
	return net.JoinHostPort(host, DefaultPort), nil
}

func tlsConfig(options url.Values, dir string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: options.Get("name")}
	file := func(option string) (string, []byte, error) {
		path := options.Get(option)
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return path, nil, fmt.Errorf("option %s: %w", option, err)
		}
		return path, b, nil
	}
	if options.Has("ca") {
		path, b, err := file("ca")
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("option ca: %s holds no certificate", path)
		}
	}
	if options.Has("cert") != options.Has("key") {
		return nil, errors.New("cert and key go together")
	}
	if options.Has("cert") {
		_, cert, err := file("cert")
		if err != nil {
			return nil, err
		}
		_, key, err := file("key")
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("options cert and key: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

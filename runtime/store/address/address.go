// Package address reads where a store is, as store: in hosts.yml says it:
//
//	scheme://host[:port][,host[:port]…][/path][?option=value&…]
//
// What the schemes are and which options they have is for the drivers to say.
package address

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
	"slices"
	"strings"
)

// Grammar is what a driver's addresses may be.
type Grammar struct {
	Scheme        string // for plain text; with an s behind it, for TLS
	Port, TLSPort string
	Path          bool   // there may be one
	Secret        string // option that names a file with a secret; "": none
	SecretHint    string // what to do instead of writing the secret into the address
	Example       string
}

// Address is where a store is.
type Address struct {
	Hosts  []string // host:port
	Path   string   // without slashes at its ends
	TLS    *tls.Config
	Secret string // content of the file that the option Grammar.Secret names, without white space at its ends
}

// Files are the options that name files, with the names that these have on a host's agent. Relative ones lie in the
// folder of the inventory.
var Files = map[string]string{"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem", "token_file": "store-secret", "auth_file": "store-secret"}

// Parse reads an address. Relative files lie in dir. The options ca, cert, key and name are about TLS, and each of them
// means it: an authority, a certificate to show with its key, and the name in the server's certificate where it is not
// the one that is dialled.
func Parse(raw, dir string, g Grammar) (Address, error) {
	a, err := parse(raw, dir, g)
	if err != nil {
		return Address{}, fmt.Errorf("store: %s: %w; write store: %s in hosts.yml", Redact(raw), err, g.Example)
	}
	return a, nil
}

// Redact is an address without what does not belong there but may stand there: a user and password, and what options
// that there are not say, such as a token.
func Redact(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return raw
	}
	rest, query, asked := strings.Cut(rest, "?")
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		rest = "…" + rest[i:]
	}
	if !asked {
		return scheme + "://" + rest
	}
	options := strings.Split(query, "&")
	for i, o := range options {
		if name, _, has := strings.Cut(o, "="); has && name != "name" && Files[name] == "" {
			options[i] = name + "=…"
		}
	}
	return scheme + "://" + rest + "?" + strings.Join(options, "&")
}

func parse(raw, dir string, g Grammar) (Address, error) {
	// Not url.Parse: it takes one host only.
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || (scheme != g.Scheme && scheme != g.Scheme+"s") {
		return Address{}, fmt.Errorf("it is no %s:// or %ss:// address", g.Scheme, g.Scheme)
	}
	rest, query, _ := strings.Cut(rest, "?")
	options, err := url.ParseQuery(query)
	if err != nil {
		return Address{}, fmt.Errorf("its options: %w", err)
	}
	known := []string{"ca", "cert", "key", "name"}
	secure := scheme != g.Scheme
	for _, name := range known {
		secure = secure || options.Has(name)
	}
	if g.Secret != "" {
		known = append(known, g.Secret)
	}
	for name := range options {
		if !slices.Contains(known, name) {
			return Address{}, fmt.Errorf("there is no option %q, only %s and %s", name, strings.Join(known[:len(known)-1], ", "), known[len(known)-1])
		}
	}
	port := g.Port
	if secure {
		port = g.TLSPort
	}
	if strings.Contains(rest, "@") {
		return Address{}, errors.New("a user and password do not belong into an address, which everybody sees; " + g.SecretHint)
	}
	hosts, path := rest, ""
	if g.Path {
		hosts, path, _ = strings.Cut(rest, "/")
	}
	a := Address{Path: strings.Trim(path, "/")}
	for _, h := range strings.Split(strings.TrimSuffix(hosts, "/"), ",") {
		addr, err := hostPort(strings.TrimSpace(h), port)
		if err != nil {
			return Address{}, err
		}
		a.Hosts = append(a.Hosts, addr)
	}
	if a.Path != "" && slices.ContainsFunc(strings.Split(a.Path, "/"), func(s string) bool { return s == "" || s == "." || s == ".." }) {
		return Address{}, fmt.Errorf("%q is not a path", a.Path)
	}
	files := reader{options, dir}
	if secure {
		if a.TLS, err = files.tls(); err != nil {
			return Address{}, err
		}
	}
	if g.Secret != "" && options.Has(g.Secret) {
		path, b, err := files.read(g.Secret)
		if a.Secret = strings.TrimSpace(string(b)); err == nil && a.Secret == "" {
			err = fmt.Errorf("option %s: %s is empty", g.Secret, path)
		}
		return a, err
	}
	return a, nil
}

func hostPort(h, port string) (string, error) {
	switch {
	case h == "":
		return "", errors.New("a host is missing")
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
	return net.JoinHostPort(host, port), nil
}

// reader reads the files that options name.
type reader struct {
	options url.Values
	dir     string
}

func (r reader) read(option string) (path string, content []byte, err error) {
	path = r.options.Get(option)
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	if content, err = os.ReadFile(path); err != nil {
		return path, nil, fmt.Errorf("option %s: %w", option, err)
	}
	return path, content, nil
}

func (r reader) tls() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: r.options.Get("name")}
	if r.options.Has("ca") {
		path, b, err := r.read("ca")
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("option ca: %s holds no certificate", path)
		}
	}
	if r.options.Has("cert") != r.options.Has("key") {
		return nil, errors.New("cert and key go together")
	}
	if r.options.Has("cert") {
		_, cert, err := r.read("cert")
		if err != nil {
			return nil, err
		}
		_, key, err := r.read("key")
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

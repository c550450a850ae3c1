package loader

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"go.yaml.in/yaml/v3"
)

// fail is an error at a node.
func (r *inventoryReader) fail(n *yaml.Node, key string, err error) error {
	return &Error{File: r.file, Line: n.Line, Key: key, Err: err}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func (r *inventoryReader) syntax(err error) error {
	e := &Error{File: r.file, Err: fmt.Errorf("not valid YAML: %w", err)}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Err = &cause{"not valid YAML: " + m[2], err}
	}
	return e
}

// pair is a key of a mapping and its value.
type pair struct{ key, value *yaml.Node }

// pairs lists a mapping's pairs in file order; those merged in by << come last, as they give way to the mapping's own.
func pairs(n *yaml.Node) []pair {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		return nil
	}
	var own, merged []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "<<" {
			own = append(own, pair{n.Content[i], resolve(n.Content[i+1])})
			continue
		}
		for _, m := range append(items(n.Content[i+1]), n.Content[i+1]) {
			merged = append(merged, pairs(m)...)
		}
	}
	for _, m := range merged {
		if !slices.ContainsFunc(own, func(p pair) bool { return p.key.Value == m.key.Value }) {
			own = append(own, m)
		}
	}
	return own
}

// each calls f for the entries of a mapping whose keys are names; a name that comes twice is an error.
func (r *inventoryReader) each(n *yaml.Node, key string, f func(name string, value *yaml.Node, key string) error) error {
	if n = resolve(n); n.Kind != yaml.MappingNode {
		return r.fail(n, key, errors.New("want a mapping here, of names to values"+exampleOf(key)))
	}
	lines := map[string]int{}
	for _, p := range pairs(n) {
		name, at := p.key.Value, strings.TrimPrefix(key+"."+p.key.Value, ".")
		if first, twice := lines[name]; twice {
			return r.fail(p.key, at, fmt.Errorf("this is there already, in line %d; drop one of them", first))
		}
		lines[name] = p.key.Line
		value := p.value
		if value.Line == 0 || value.Tag == "!!null" {
			value = &yaml.Node{Kind: value.Kind, Tag: value.Tag, Value: value.Value, Line: p.key.Line}
		}
		if err := f(name, value, at); err != nil {
			return err
		}
	}
	return nil
}

// exampleOf shows what can stand at a key that wants a mapping.
func exampleOf(key string) string {
	const host = "{address: ssh://user@10.0.0.2}"
	switch {
	case key == "":
		return ", like hosts: {web1: " + host + "}"
	case key == "hosts":
		return ", like {web1: " + host + "}"
	case strings.HasSuffix(key, ".labels"):
		return ", like {type: worker}"
	case strings.HasPrefix(key, "hosts.") && strings.Count(key, ".") == 1:
		return ", like " + host
	}
	return ""
}

// mapping calls the reader of each key; keys without one are errors, but for extensions (x-…) at the top.
func (r *inventoryReader) mapping(n *yaml.Node, key string, readers map[string]func(*yaml.Node, string) error) error {
	return r.each(n, key, func(name string, value *yaml.Node, at string) error {
		read, known := readers[name]
		if !known {
			if key == "" && strings.HasPrefix(name, "x-") {
				return nil
			}
			names := slices.Sorted(maps.Keys(readers))
			hint := didYouMean(name, names)
			if hint == "" {
				hint = "; the keys here are " + strings.Join(names, ", ")
			}
			line := value
			if k, _ := field(n, name); k != nil {
				line = k
			}
			return r.fail(line, at, errors.New("unknown key"+hint))
		}
		return read(value, at)
	})
}

// text reads a scalar that is not empty.
func (r *inventoryReader) text(to *string, n *yaml.Node, key string) error {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
		return r.fail(n, key, errors.New("want a value here"))
	}
	*to = n.Value
	return nil
}

// path reads a path and makes it absolute: "~/" is the home folder, other relative paths count from the inventory.
func (r *inventoryReader) path(to *string, n *yaml.Node, key string) error {
	var p string
	if err := r.text(&p, n, key); err != nil {
		return err
	}
	if rest, ok := strings.CutPrefix(p, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return r.fail(n, key, fmt.Errorf("~ cannot be filled in: %w", err))
		}
		p = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(p) {
		p = filepath.Join(r.dir, p)
	}
	*to = filepath.Clean(p)
	return nil
}

// address reads unix:///path, tcp://host:port or ssh://[user@]host[:port].
func (r *inventoryReader) address(to *string, n *yaml.Node, key string) error {
	if err := r.text(to, n, key); err != nil {
		return err
	}
	bad := func(why string) error { return r.fail(n, key, fmt.Errorf("address %q %s", *to, why)) }
	u, err := url.Parse(*to)
	if host := (*to)[strings.LastIndexAny(*to, "/@")+1:]; strings.Count(host, ":") > 1 && !strings.Contains(host, "[") {
		return bad("has an IPv6 address without brackets; want one like tcp://[fd00::2]:2376 or ssh://user@[fd00::2]")
	}
	if err != nil {
		return bad("cannot be read; want one like ssh://user@10.0.0.2")
	}
	switch u.Scheme {
	case "unix":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.Path == "/" {
			return bad("has no absolute path; want one like unix:///var/run/docker.sock")
		}
	case "tcp":
		if u.Hostname() == "" || u.Port() == "" {
			return bad("lacks host or port; want one like tcp://10.0.0.3:2376")
		}
		if u.User != nil || strings.Trim(u.Path, "/") != "" {
			return bad("has more than host and port; want one like tcp://10.0.0.3:2376")
		}
	case "ssh":
		if u.Hostname() == "" {
			return bad("lacks a host; want one like ssh://user@10.0.0.2")
		}
		if _, password := u.User.Password(); password {
			return bad("has a password in it; use a key, see identity")
		}
	default:
		return bad("has no scheme that berth knows; want unix://, tcp:// or ssh://")
	}
	return nil
}

// ip reads an IP address that other hosts reach.
func (r *inventoryReader) ip(to *string, n *yaml.Node, key string) error {
	if err := r.text(to, n, key); err != nil {
		return err
	}
	ip, err := netip.ParseAddr(*to)
	if err != nil {
		return r.fail(n, key, fmt.Errorf("%q is no IP address", *to))
	}
	if ip.Is6() && ip.IsLinkLocalUnicast() {
		return r.fail(n, key, fmt.Errorf("%s is an address of one link; want one like fd00::2 that every host reaches", ip))
	}
	return nil
}

// sameAddress brings two spellings of one address together.
func sameAddress(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	if u.Scheme == "ssh" && port == "" {
		port = "22"
	}
	if u.Scheme == "unix" {
		return "unix://" + filepath.Clean(u.Path)
	}
	return u.Scheme + "://" + net.JoinHostPort(host, port)
}

// cpus reads a number of CPUs, which may be a fraction, as millicores.
func (r *inventoryReader) cpus(to *int64, n *yaml.Node, key string, zero bool) error {
	var text string
	if err := r.text(&text, n, key); err != nil {
		return err
	}
	f, err := strconv.ParseFloat(text, 64)
	milli := math.Round(f * 1000)
	if err != nil || math.IsNaN(f) || milli < 0 || milli == 0 && !zero || milli > 1e9 {
		return r.fail(n, key, fmt.Errorf("%q is no number of CPUs; want one like 8 or 0.5", text))
	}
	*to = int64(milli)
	return nil
}

// memory reads a size as bytes.
func (r *inventoryReader) memory(to *int64, n *yaml.Node, key string, zero bool) error {
	var text string
	if err := r.text(&text, n, key); err != nil {
		return err
	}
	bytes, err := units.RAMInBytes(text)
	if err != nil || bytes < 0 || bytes == 0 && !zero {
		return r.fail(n, key, fmt.Errorf("%q is no size; want one like 32g or 512m", text))
	}
	*to = bytes
	return nil
}

package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"berth/placement"
)

// InventoryFile is the name of an inventory beside the compose file.
const InventoryFile = "hosts.yml"

// FindInventory chooses the inventory: the file of -i, that of $BERTH_INVENTORY, or hosts.yml beside the compose file
// when it is there. ok is false when there is none: the one engine of DOCKER_HOST or the docker context it is then.
func FindInventory(flag, env, composeDir string) (path string, ok bool) {
	switch {
	case flag != "":
		return flag, true
	case env != "":
		return env, true
	}
	path = filepath.Join(composeDir, InventoryFile)
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return "", false
	}
	return path, true
}

// defaultPool is where subnets come from when networks.pool is not set.
var defaultPool = netip.MustParsePrefix("10.128.0.0/9")

// LoadInventory reads a native inventory (README.md, "Inventory"), strictly: what it does not know is an error, not
// ignored. Hosts keep the order of the file, and relative paths count from the file's folder. Errors are *Error.
func LoadInventory(path string) (*placement.Inventory, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{File: path, Err: fmt.Errorf("%w; check -i and BERTH_INVENTORY", fs.ErrNotExist)}
	}
	if err != nil {
		return nil, &Error{File: path, Err: err}
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, &Error{File: path, Err: err}
	}
	r := &inventoryReader{file: path, dir: filepath.Dir(full), seen: map[string]string{}}
	r.inventory = &placement.Inventory{Path: full, Store: "embedded"}

	var doc yaml.Node
	if err := yaml.Unmarshal(content, &doc); err != nil {
		if isAnsible(content, nil) {
			return nil, &Error{File: path, Err: errAnsible}
		}
		return nil, r.syntax(err)
	}
	if len(doc.Content) == 0 {
		return nil, &Error{File: path, Err: errNoHosts}
	}
	if isAnsible(content, doc.Content[0]) {
		return nil, &Error{File: path, Err: errAnsible}
	}
	hosts := false
	err = r.mapping(doc.Content[0], "", map[string]func(*yaml.Node, string) error{
		"hosts":    func(n *yaml.Node, key string) error { hosts = true; return r.hosts(n, key) },
		"store":    r.store,
		"registry": r.registry,
		"networks": r.networks,
	})
	if err != nil {
		return nil, err
	}
	if !hosts {
		return nil, &Error{File: path, Err: errNoHosts}
	}
	if len(r.inventory.Pool) == 0 {
		r.inventory.Pool = []netip.Prefix{defaultPool}
	}
	return r.inventory, nil
}

var errNoHosts = errors.New("there are no hosts in it; add hosts: {web1: {address: ssh://user@10.0.0.2}}")

// inventoryReader fills in an inventory from its nodes.
type inventoryReader struct {
	file, dir string
	inventory *placement.Inventory
	seen      map[string]string // address or context → host that has it
}

func (r *inventoryReader) hosts(n *yaml.Node, key string) error {
	if len(pairs(n)) == 0 && (n.Kind == yaml.MappingNode || n.Tag == "!!null") {
		return r.fail(n, key, errNoHosts)
	}
	return r.each(n, key, func(name string, value *yaml.Node, key string) error {
		if !hostName.MatchString(name) {
			return r.fail(value, key, errors.New("a host name has letters, digits, '.', '_' and '-' only, and begins with a letter or digit"))
		}
		h := placement.InventoryHost{Name: name}
		if value.Tag != "!!null" {
			if err := r.host(&h, value, key); err != nil {
				return err
			}
		}
		if err := r.endpoint(&h, value, key); err != nil {
			return err
		}
		r.inventory.Hosts = append(r.inventory.Hosts, h)
		return nil
	})
}

var hostName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

func (r *inventoryReader) host(h *placement.InventoryHost, n *yaml.Node, key string) error {
	return r.mapping(n, key, map[string]func(*yaml.Node, string) error{
		"address":     func(n *yaml.Node, key string) error { return r.address(&h.Address, n, key) },
		"context":     func(n *yaml.Node, key string) error { return r.text(&h.Context, n, key) },
		"tls":         func(n *yaml.Node, key string) error { return r.path(&h.TLS, n, key) },
		"identity":    func(n *yaml.Node, key string) error { return r.path(&h.Identity, n, key) },
		"known_hosts": func(n *yaml.Node, key string) error { return r.path(&h.KnownHosts, n, key) },
		"ip":          func(n *yaml.Node, key string) error { return r.ip(&h.IP, n, key) },
		"socket": func(n *yaml.Node, key string) error {
			if err := r.text(&h.Socket, n, key); err != nil {
				return err
			}
			if !strings.HasPrefix(h.Socket, "/") {
				return r.fail(n, key, fmt.Errorf("%q is no absolute path on the host; want one like /run/docker.sock", h.Socket))
			}
			return nil
		},
		"labels": func(n *yaml.Node, key string) error {
			h.Labels = map[string]string{}
			return r.each(n, key, func(name string, value *yaml.Node, key string) error {
				var v string
				if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
					return r.fail(value, key, errors.New("a label's value is a text"))
				}
				v = value.Value
				h.Labels[name] = v
				return nil
			})
		},
		"availability": func(n *yaml.Node, key string) error {
			var text string
			err := r.text(&text, n, key)
			if err != nil {
				return err
			}
			if h.Availability, err = placement.ParseAvailability(text); err != nil {
				return r.fail(n, key, err)
			}
			return nil
		},
		"resources": func(n *yaml.Node, key string) error { return r.resources(h, n, key) },
		"devices": func(n *yaml.Node, key string) error {
			if n.Kind != yaml.SequenceNode {
				return r.fail(n, key, errors.New("want a list of devices, like [/dev/ttyUSB0]"))
			}
			for i, item := range items(n) {
				var device string
				if err := r.text(&device, resolve(item), key+"."+strconv.Itoa(i)); err != nil {
					return err
				}
				h.Devices = append(h.Devices, device)
			}
			return nil
		},
		"cpus":   func(n *yaml.Node, key string) error { return r.cpus(&h.CPUs, n, key, false) },
		"memory": func(n *yaml.Node, key string) error { return r.memory(&h.Memory, n, key, false) },
		"reserve": func(n *yaml.Node, key string) error {
			return r.mapping(n, key, map[string]func(*yaml.Node, string) error{
				"cpus":   func(n *yaml.Node, key string) error { return r.cpus(&h.Reserve.CPU, n, key, true) },
				"memory": func(n *yaml.Node, key string) error { return r.memory(&h.Reserve.Memory, n, key, true) },
			})
		},
	})
}

// resources reads kinds and how many of each the host has, or their names.
func (r *inventoryReader) resources(h *placement.InventoryHost, n *yaml.Node, key string) error {
	h.Resources = placement.Resources{}
	return r.each(n, key, func(kind string, value *yaml.Node, key string) error {
		if value.Kind == yaml.SequenceNode {
			names := map[string]bool{}
			for i, item := range items(value) {
				var name string
				at := key + "." + strconv.Itoa(i)
				if err := r.text(&name, resolve(item), at); err != nil {
					return err
				}
				if names[name] {
					return r.fail(item, at, fmt.Errorf("%s is there already; drop one of them", name))
				}
				names[name] = true
			}
			h.Resources[strings.ToLower(kind)] = int64(len(names))
			return nil
		}
		count, err := strconv.ParseUint(value.Value, 10, 31)
		if err != nil {
			return r.fail(value, key, fmt.Errorf("%q is no number of things; want one like 2, or their names like [a, b]", value.Value))
		}
		h.Resources[strings.ToLower(kind)] = int64(count)
		return nil
	})
}

// endpoint checks what a host's keys say together.
func (r *inventoryReader) endpoint(h *placement.InventoryHost, n *yaml.Node, key string) error {
	scheme, _, _ := strings.Cut(h.Address, "://")
	id := "address " + sameAddress(h.Address)
	switch {
	case h.Address == "" && h.Context == "":
		return r.fail(n, key, errors.New("there is neither address nor context; add address: ssh://user@10.0.0.2"))
	case h.Address != "" && h.Context != "":
		return r.fail(n, key, errors.New("address and context exclude each other; keep one of them"))
	case h.TLS != "" && scheme != "tcp":
		return r.fail(n, key+".tls", errors.New("tls belongs to a tcp:// address; drop it"))
	case h.Address != "" && scheme != "ssh" && h.Identity != "":
		return r.fail(n, key+".identity", errors.New("identity belongs to an ssh:// address; drop it"))
	case h.Address != "" && scheme != "ssh" && h.KnownHosts != "":
		return r.fail(n, key+".known_hosts", errors.New("known_hosts belongs to an ssh:// address; drop it"))
	case h.CPUs > 0 && h.Reserve.CPU >= h.CPUs:
		return r.fail(n, key+".reserve.cpus", errors.New("this is all that the host has; reserve less"))
	case h.Memory > 0 && h.Reserve.Memory >= h.Memory:
		return r.fail(n, key+".reserve.memory", errors.New("this is all that the host has; reserve less"))
	case h.Context != "":
		id = "context " + h.Context
	}
	if other, taken := r.seen[id]; taken {
		return r.fail(n, key, fmt.Errorf("host %s has the same %s; one engine is one host", other, id))
	}
	r.seen[id] = h.Name
	return nil
}

func (r *inventoryReader) store(n *yaml.Node, key string) error {
	if err := r.text(&r.inventory.Store, n, key); err != nil {
		return err
	}
	scheme, rest, ok := strings.Cut(r.inventory.Store, "://")
	if r.inventory.Store == "embedded" || ok && rest != "" && slices.Contains(storeSchemes, strings.TrimSuffix(scheme, "s")) {
		return nil
	}
	return r.fail(n, key, fmt.Errorf("%q is no store; want embedded, etcd://host:2379, zk://host:2181/path or consul://host:8500/prefix", r.inventory.Store))
}

// storeSchemes are those of the stores that may be there already; each may have an s for TLS. What their addresses are
// is for the driver to say (runtime/store).
var storeSchemes = []string{"etcd", "zk", "consul"}

func (r *inventoryReader) registry(n *yaml.Node, key string) error {
	if err := r.text(&r.inventory.Registry, n, key); err != nil {
		return err
	}
	if strings.Contains(r.inventory.Registry, "://") || strings.ContainsAny(r.inventory.Registry, " \t") {
		return r.fail(n, key, fmt.Errorf("%q is no registry; want host:port, as in an image's name", r.inventory.Registry))
	}
	return nil
}

func (r *inventoryReader) networks(n *yaml.Node, key string) error {
	return r.mapping(n, key, map[string]func(*yaml.Node, string) error{"pool": r.pool, "mtu": r.mtu, "encryption": r.encryption})
}

func (r *inventoryReader) pool(n *yaml.Node, key string) error {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = items(n)
	}
	for i, item := range list {
		at := key
		if n.Kind == yaml.SequenceNode {
			at += "." + strconv.Itoa(i)
		}
		var text string
		if err := r.text(&text, resolve(item), at); err != nil {
			return err
		}
		p, err := netip.ParsePrefix(text)
		if err != nil || !p.Addr().Is4() || p != p.Masked() {
			return r.fail(item, at, fmt.Errorf("%q is no IPv4 network; want one like %s", text, defaultPool))
		}
		if slices.ContainsFunc(r.inventory.Pool, p.Overlaps) {
			return r.fail(item, at, fmt.Errorf("%s overlaps another network of the pool; drop one of them", p))
		}
		r.inventory.Pool = append(r.inventory.Pool, p)
	}
	return nil
}

func (r *inventoryReader) mtu(n *yaml.Node, key string) error {
	var text string
	if err := r.text(&text, n, key); err != nil {
		return err
	}
	if text == "auto" {
		return nil
	}
	mtu, err := strconv.Atoi(text)
	if err != nil || mtu < 576 || mtu > 65535 {
		return r.fail(n, key, fmt.Errorf("%q is no MTU; want auto, or 576 to 65535", text))
	}
	r.inventory.MTU = mtu
	return nil
}

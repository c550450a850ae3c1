package loader

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
)

func inventoryFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hosts.yml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

var comparePrefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestAnInventoryWithEverythingIsRead(t *testing.T) {
	path := inventoryFile(t, `
x-defaults: &ssh {identity: keys/id, known_hosts: /etc/known_hosts, labels: {type: worker}}
hosts:
  web-back2: {address: "ssh://deploy@10.0.0.2", <<: *ssh}
  web-back1:
    address: tcp://10.0.0.3:2376
    tls: certs/
    ip: 192.168.0.3
    socket: /run/docker.sock
    labels: {zone: b, rack: 7, ssd: true}
    cpus: 0.5
    memory: 32g
    reserve: {cpus: "0.25", memory: 512m}
    resources: {GPU: [GPU-8a, GPU-9b], ssd: 4}
  db1: {context: staging-db, cpus: 8, availability: drain}
  here: {address: "unix:///var/run/docker.sock"}
store: etcd://10.0.0.9:2379
registry: registry.lan:5000
networks: {pool: [10.10.0.0/16, 10.20.0.0/16], mtu: 1400, encryption: {port: 5000, rotate: 12h}}
`)
	dir := filepath.Dir(path)
	got, err := LoadInventory(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &placement.Inventory{
		Path: path,
		Hosts: []placement.InventoryHost{
			{Name: "web-back2", Address: "ssh://deploy@10.0.0.2", Identity: filepath.Join(dir, "keys/id"),
				KnownHosts: "/etc/known_hosts", Labels: map[string]string{"type": "worker"}},
			{Name: "web-back1", Address: "tcp://10.0.0.3:2376", TLS: filepath.Join(dir, "certs"), IP: "192.168.0.3",
				Socket: "/run/docker.sock", Labels: map[string]string{"zone": "b", "rack": "7", "ssd": "true"},
				CPUs: 500, Memory: 32 << 30, Reserve: placement.Reservation{CPU: 250, Memory: 512 << 20},
				Resources: placement.Resources{"gpu": 2, "ssd": 4}},
			{Name: "db1", Context: "staging-db", CPUs: 8000, Availability: placement.Drain},
			{Name: "here", Address: "unix:///var/run/docker.sock"},
		},
		Store:    "etcd://10.0.0.9:2379",
		Registry: "registry.lan:5000",
		Pool:     []netip.Prefix{netip.MustParsePrefix("10.10.0.0/16"), netip.MustParsePrefix("10.20.0.0/16")},
		MTU:      1400,

		Encryption: placement.EncryptionSettings{Port: 5000, Rotate: 12 * time.Hour},
	}
	if diff := cmp.Diff(want, got, comparePrefixes); diff != "" {
		t.Error(diff)
	}
}

func TestAnInventoryHasDefaults(t *testing.T) {
	got, err := LoadInventory(inventoryFile(t, "hosts:\n  a: {address: 'ssh://a'}\nnetworks: {mtu: auto}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got.Store != "embedded" || got.MTU != 0 || len(got.Pool) != 1 || got.Pool[0].String() != "10.128.0.0/9" || got.Cluster() {
		t.Errorf("%+v", got)
	}
}

func TestInventoryErrorsNameFileAndLine(t *testing.T) {
	host := func(entry string) string { return "hosts:\n  a:\n    " + entry + "\n" }
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "hosts.yml: there are no hosts in it; add hosts: {web1: {address: ssh://user@10.0.0.2}}"},
		{"no hosts key", "store: embedded\n", "hosts.yml: there are no hosts in it; add hosts: {web1: {address: ssh://user@10.0.0.2}}"},
		{"no hosts", "hosts: {}\n", "hosts.yml:1: hosts: there are no hosts in it; add hosts: {web1: {address: ssh://user@10.0.0.2}}"},
		{"hosts null", "store: embedded\nhosts:\n", "hosts.yml:2: hosts: there are no hosts in it; add hosts: {web1: {address: ssh://user@10.0.0.2}}"},
		{"hosts is a list", "hosts:\n  - a\n", "hosts.yml:2: hosts: want a mapping here, of names to values, like {web1: {address: ssh://user@10.0.0.2}}"},
		{"a host is a text", "hosts:\n  a: ssh://a\n", "hosts.yml:2: hosts.a: want a mapping here, of names to values, like {address: ssh://user@10.0.0.2}"},
		{"labels are a list", "hosts:\n  a: {address: ssh://a, labels: [b=c]}\n", "hosts.yml:2: hosts.a.labels: want a mapping here, of names to values, like {type: worker}"},
		{"a list", "- a\n", "hosts.yml:1: want a mapping here, of names to values, like hosts: {web1: {address: ssh://user@10.0.0.2}}"},
		{"bad YAML", "hosts:\n  a: [\n", "hosts.yml:2: not valid YAML: did not find expected node content"},
		{"unknown key at the top", "host: {}\n", "hosts.yml:1: host: unknown key; did you mean hosts?"},
		{"unknown key of a host", host("addres: ssh://a"), "hosts.yml:3: hosts.a.addres: unknown key; did you mean address?"},
		{"unknown key without a near one", host("flavour: big"), "hosts.yml:3: hosts.a.flavour: unknown key; the keys here are address, availability, context, cpus, devices, identity, ip, known_hosts, labels, memory, reserve, resources, socket, tls"},
		{"unknown key of reserve", host("reserve: {cpu: 1}"), "hosts.yml:3: hosts.a.reserve.cpu: unknown key; did you mean cpus?"},
		{"x- below the top", host("x-a: 1"), "hosts.yml:3: hosts.a.x-a: unknown key; the keys here are address, availability, context, cpus, devices, identity, ip, known_hosts, labels, memory, reserve, resources, socket, tls"},
		{"duplicate host", "hosts:\n  a: {address: ssh://a}\n  a: {address: ssh://b}\n", "hosts.yml:3: hosts.a: this is there already, in line 2; drop one of them"},
		{"same address", "hosts:\n  a: {address: ssh://u@a}\n  b: {address: ssh://A:22}\n", "hosts.yml:3: hosts.b: host a has the same address ssh://a:22; one engine is one host"},
		{"same context", "hosts:\n  a: {context: c}\n  b: {context: c}\n", "hosts.yml:3: hosts.b: host a has the same context c; one engine is one host"},
		{"host name", "hosts:\n  a b: {address: ssh://a}\n", "hosts.yml:2: hosts.a b: a host name has letters, digits, '.', '_' and '-' only, and begins with a letter or digit"},
		{"neither address nor context", "hosts:\n  a:\n", "hosts.yml:2: hosts.a: there is neither address nor context; add address: ssh://user@10.0.0.2"},
		{"both", host("{address: ssh://a, context: c}"), "hosts.yml:3: hosts.a: address and context exclude each other; keep one of them"},
		{"no scheme", host("address: 10.0.0.2"), `hosts.yml:3: hosts.a.address: address "10.0.0.2" has no scheme that berth knows; want unix://, tcp:// or ssh://`},
		{"other scheme", host("address: http://a"), `hosts.yml:3: hosts.a.address: address "http://a" has no scheme that berth knows; want unix://, tcp:// or ssh://`},
		{"tcp without port", host("address: tcp://a"), `hosts.yml:3: hosts.a.address: address "tcp://a" lacks host or port; want one like tcp://10.0.0.3:2376`},
		{"ssh without host", host("address: ssh://"), `hosts.yml:3: hosts.a.address: address "ssh://" lacks a host; want one like ssh://user@10.0.0.2`},
		{"password", host("address: ssh://u:p@a"), `hosts.yml:3: hosts.a.address: address "ssh://u:p@a" has a password in it; use a key, see identity`},
		{"unix without path", host("address: unix://run"), `hosts.yml:3: hosts.a.address: address "unix://run" has no absolute path; want one like unix:///var/run/docker.sock`},
		{"tls of ssh", host("{address: ssh://a, tls: x}"), "hosts.yml:3: hosts.a.tls: tls belongs to a tcp:// address; drop it"},
		{"identity of tcp", host("{address: tcp://a:1, identity: x}"), "hosts.yml:3: hosts.a.identity: identity belongs to an ssh:// address; drop it"},
		{"ip", host("ip: a"), `hosts.yml:3: hosts.a.ip: "a" is no IP address`},
		{"ip of a link", host("ip: fe80::1"), `hosts.yml:3: hosts.a.ip: fe80::1 is an address of one link; want one like fd00::2 that every host reaches`},
		{"IPv6 without brackets", host("address: tcp://fd00::1:2375"), `hosts.yml:3: hosts.a.address: address "tcp://fd00::1:2375" has an IPv6 address without brackets; want one like tcp://[fd00::2]:2376 or ssh://user@[fd00::2]`},
		{"IPv6 of ssh without brackets", host("address: ssh://root@fd00::1"), `hosts.yml:3: hosts.a.address: address "ssh://root@fd00::1" has an IPv6 address without brackets; want one like tcp://[fd00::2]:2376 or ssh://user@[fd00::2]`},
		{"same IPv6 address", "hosts:\n  a: {address: 'tcp://[fd00::1]:2375'}\n  b: {address: 'tcp://[FD00:0::1]:2375'}\n", "hosts.yml:3: hosts.b: host a has the same address tcp://[fd00::1]:2375; one engine is one host"},
		{"socket", host("socket: run/docker.sock"), `hosts.yml:3: hosts.a.socket: "run/docker.sock" is no absolute path on the host; want one like /run/docker.sock`},
		{"availability", host("availability: off"), `hosts.yml:3: hosts.a.availability: "off" is no availability; want active, pause or drain`},
		{"resources", host("resources: {gpu: many}"), `hosts.yml:3: hosts.a.resources.gpu: "many" is no number of things; want one like 2, or their names like [a, b]`},
		{"a resource twice", host("resources: {gpu: [a, b, a]}"), `hosts.yml:3: hosts.a.resources.gpu.2: a is there already; drop one of them`},
		{"label", host("labels: {a: [1]}"), "hosts.yml:3: hosts.a.labels.a: a label's value is a text"},
		{"cpus", host("cpus: many"), `hosts.yml:3: hosts.a.cpus: "many" is no number of CPUs; want one like 8 or 0.5`},
		{"no cpus", host("cpus: 0"), `hosts.yml:3: hosts.a.cpus: "0" is no number of CPUs; want one like 8 or 0.5`},
		{"NaN", host("cpus: NaN"), `hosts.yml:3: hosts.a.cpus: "NaN" is no number of CPUs; want one like 8 or 0.5`},
		{"memory", host("memory: 32gs"), `hosts.yml:3: hosts.a.memory: "32gs" is no size; want one like 32g or 512m`},
		{"negative memory", host("memory: -1g"), `hosts.yml:3: hosts.a.memory: "-1g" is no size; want one like 32g or 512m`},
		{"value missing", host("memory:"), "hosts.yml:3: hosts.a.memory: want a value here"},
		{"reserve is all", host("{address: ssh://a, cpus: 1, reserve: {cpus: 1}}"), "hosts.yml:3: hosts.a.reserve.cpus: this is all that the host has; reserve less"},
		{"store", "store: redis://a\n", `hosts.yml:1: store: "redis://a" is no store; want embedded, etcd://host:2379, zk://host:2181/path or consul://host:8500/prefix`},
		{"registry", "registry: https://r\n", `hosts.yml:1: registry: "https://r" is no registry; want host:port, as in an image's name`},
		{"pool", "networks: {pool: 10.0.0.0}\n", `hosts.yml:1: networks.pool: "10.0.0.0" is no IPv4 network; want one like 10.128.0.0/9`},
		{"pool with host bits", "networks:\n  pool:\n    - 10.0.0.1/8\n", `hosts.yml:3: networks.pool.0: "10.0.0.1/8" is no IPv4 network; want one like 10.128.0.0/9`},
		{"pools that overlap", "networks: {pool: [10.0.0.0/8, 10.1.0.0/16]}\n", "hosts.yml:1: networks.pool.1: 10.1.0.0/16 overlaps another network of the pool; drop one of them"},
		{"encryption's port", "networks: {encryption: {port: 4789}}\n", `hosts.yml:1: networks.encryption.port: "4789" is no UDP port that encrypted networks can use; want 1 to 65535, and not 4789, which is the other networks'`},
		{"rotation", "networks: {encryption: {rotate: 1s}}\n", `hosts.yml:1: networks.encryption.rotate: "1s" is no time between two changes of keys; want one like 24h, at least 1m0s`},
		{"mtu", "networks: {mtu: 9}\n", `hosts.yml:1: networks.mtu: "9" is no MTU; want auto, or 576 to 65535`},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := inventoryFile(t, c.text)
			_, err := LoadInventory(path)
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.TrimPrefix(strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", ""), "load ")
			if got != c.want {
				t.Errorf("error is\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestAnInventoryOfAnsiblesIsRecognized(t *testing.T) {
	for name, text := range map[string]string{
		"a group":         "[web]\nweb1 ansible_host=10.0.0.2 ansible_user=deploy\nweb2\n",
		"only a group":    "[web]\nweb1\nweb2\n",
		"no group":        "web1 ansible_host=10.0.0.2\n",
		"a group's names": "[web:children]\neast\n[web:vars]\na=b\n",
		"YAML, all":       "all:\n  children:\n    web:\n      hosts:\n        web1: {ansible_host: 10.0.0.2}\n",
		"YAML, a group":   "web:\n  hosts:\n    web1:\n",
	} {
		_, err := LoadInventory(inventoryFile(t, text))
		if err == nil || !strings.Contains(err.Error(), "hosts.yml: this is an inventory of Ansible's") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"a host named vars":  "hosts:\n  vars: {address: ssh://a}\n  hosts: {address: ssh://b}\n",
		"an anchor's key":    "x-all: {hosts: 1}\nstore: embedded\n",
		"a list in brackets": "hosts: {a: {address: 'ssh://a',\n  devices:\n[/dev/a]\n}}\n",
	} {
		if _, err := LoadInventory(inventoryFile(t, text)); err != nil && strings.Contains(err.Error(), "inventory of Ansible's") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAMissingInventorySaysWhereItWasNamed(t *testing.T) {
	_, err := LoadInventory("gone.yml")
	if err == nil || err.Error() != "load gone.yml: file does not exist; check -i and BERTH_INVENTORY" {
		t.Error(err)
	}
}

func TestTheInventoryIsThatOfFlagThenVariableThenFolder(t *testing.T) {
	dir := filepath.Dir(inventoryFile(t, "hosts: {}"))
	for _, c := range []struct{ flag, env, dir, want string }{
		{"a", "b", dir, "a"},
		{"", "b", dir, "b"},
		{"", "", dir, filepath.Join(dir, "hosts.yml")},
		{"", "", t.TempDir(), ""},
	} {
		if got, ok := FindInventory(c.flag, c.env, c.dir); got != c.want || ok != (c.want != "") {
			t.Errorf("%+v: %q %t", c, got, ok)
		}
	}
}

package etcd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/runtime/identity"
	"berth/runtime/store/address"
	"berth/runtime/store/etcd"
)

func TestAddressesOfHostsYML(t *testing.T) {
	dir := t.TempDir()
	ca, err := identity.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"ca.pem": ca.Cert, "me.pem": ca.Cert, "me.key": ca.Key, "empty": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	type got struct {
		Endpoints      []string
		TLS, CA, Certs bool
		Name           string
	}
	for raw, want := range map[string]got{
		"etcd://10.0.0.1":                                    {Endpoints: []string{"10.0.0.1:2379"}},
		"etcd://10.0.0.1:4001, etcd.lan/":                    {Endpoints: []string{"10.0.0.1:4001", "etcd.lan:2379"}},
		"etcd://[fd00::1],[fd00::2]:1":                       {Endpoints: []string{"[fd00::1]:2379", "[fd00::2]:1"}},
		"etcds://etcd.lan":                                   {Endpoints: []string{"etcd.lan:2379"}, TLS: true},
		"etcd://h?ca=ca.pem&cert=me.pem&key=me.key":          {Endpoints: []string{"h:2379"}, TLS: true, CA: true, Certs: true},
		"etcd://10.0.0.1?ca=" + dir + "/ca.pem&name=e":       {Endpoints: []string{"10.0.0.1:2379"}, TLS: true, CA: true, Name: "e"},
		"etcds://a:1,b:2?cert=me.pem&key=" + dir + "/me.key": {Endpoints: []string{"a:1", "b:2"}, TLS: true, Certs: true},
	} {
		cfg, err := etcd.ParseURL(raw, dir)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		g := got{Endpoints: cfg.Endpoints, TLS: cfg.TLS != nil}
		if cfg.TLS != nil {
			g.CA, g.Certs, g.Name = cfg.TLS.RootCAs != nil, len(cfg.TLS.Certificates) == 1, cfg.TLS.ServerName
		}
		if d := cmp.Diff(want, g); d != "" {
			t.Errorf("%s: -want +got\n%s", raw, d)
		}
	}
	for raw, want := range map[string]string{
		"consul://h":                      "it is no etcd:// or etcds:// address",
		"h:2379":                          "it is no etcd:// or etcds:// address",
		"etcd://":                         "a host is missing",
		"etcd://a,,b":                     "a host is missing",
		"etcd://a/b":                      `"a/b" is not a host`,
		"etcd://a:b:c":                    "is not a host",
		"etcd://me:secret@a":              "a user and password do not belong into an address",
		"etcd://a?timeout=5s":             `there is no option "timeout"`,
		"etcd://a?cert=me.pem":            "cert and key go together",
		"etcd://a?ca=gone.pem":            "gone.pem: no such file",
		"etcd://a?ca=empty":               "holds no certificate",
		"etcd://a?cert=me.pem&key=me.pem": "options cert and key",
	} {
		if _, err := etcd.ParseURL(raw, dir); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "store: "+address.Redact(raw)) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want %q", raw, err, want)
		}
	}
}

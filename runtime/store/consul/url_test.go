package consul_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/runtime/store/consul"
)

func TestAddressesOfHostsYML(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	type got struct {
		Servers       []string
		Prefix, Token string
		TLS           bool
	}
	t.Setenv("CONSUL_HTTP_TOKEN", "from-environment")
	for raw, want := range map[string]got{
		"consul://10.0.0.1":                   {Servers: []string{"10.0.0.1:8500"}, Prefix: "berth", Token: "from-environment"},
		"consul://a:1,b/one":                  {Servers: []string{"a:1", "b:8500"}, Prefix: "one", Token: "from-environment"},
		"consul://a/one/two?token_file=token": {Servers: []string{"a:8500"}, Prefix: "one/two", Token: "from-file"},
		"consuls://a":                         {Servers: []string{"a:8501"}, Prefix: "berth", Token: "from-environment", TLS: true},
		"consul://a:8500?name=consul.lan":     {Servers: []string{"a:8500"}, Prefix: "berth", Token: "from-environment", TLS: true},
	} {
		cfg, err := consul.ParseURL(raw, dir)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if d := cmp.Diff(want, got{cfg.Servers, cfg.Prefix, cfg.Token, cfg.TLS != nil}); d != "" {
			t.Errorf("%s: -want +got\n%s", raw, d)
		}
	}
	for raw, want := range map[string]string{
		"zk://h":                  "it is no consul:// or consuls:// address",
		"consul://":               "a host is missing",
		"consul://a?token=secret": `there is no option "token", only ca, cert, key, name and token_file`,
		"consul://:secret@a":      "write the ACL token into a file and name that with token_file=",
	} {
		_, err := consul.ParseURL(raw, dir)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want %q", raw, err, want)
		}
	}
}

package zookeeper_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/runtime/store/address"
	"berth/runtime/store/zookeeper"
)

func TestAddressesOfHostsYML(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"auth": "me:pass:word\n", "noauth": "me", "empty": "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	type got struct {
		Servers              []string
		Path, User, Password string
		TLS                  bool
	}
	for raw, want := range map[string]got{
		"zk://10.0.0.1":                     {Servers: []string{"10.0.0.1:2181"}, Path: "/berth"},
		"zk://a:1, b,[fd00::1]/":            {Servers: []string{"a:1", "b:2181", "[fd00::1]:2181"}, Path: "/berth"},
		"zk://a,b/clusters/one/":            {Servers: []string{"a:2181", "b:2181"}, Path: "/clusters/one"},
		"zks://a/p":                         {Servers: []string{"a:2181"}, Path: "/p", TLS: true},
		"zk://a/p?name=zk":                  {Servers: []string{"a:2181"}, Path: "/p", TLS: true},
		"zk://a/p?auth_file=auth":           {Servers: []string{"a:2181"}, Path: "/p", User: "me", Password: "pass:word"},
		"zk://a?auth_file=" + dir + "/auth": {Servers: []string{"a:2181"}, Path: "/berth", User: "me", Password: "pass:word"},
	} {
		cfg, err := zookeeper.ParseURL(raw, dir)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if d := cmp.Diff(want, got{cfg.Servers, cfg.Path, cfg.User, cfg.Password, cfg.TLS != nil}); d != "" {
			t.Errorf("%s: -want +got\n%s", raw, d)
		}
	}
	for raw, want := range map[string]string{
		"etcd://h":                "it is no zk:// or zks:// address",
		"zk://":                   "a host is missing",
		"zk:///path":              "a host is missing",
		"zk://a/b//c":             `"b//c" is not a path`,
		"zk://a/../c":             `"../c" is not a path`,
		"zk://me:secret@a/p":      "write user:password into a file and name that with auth_file=",
		"zk://a?token_file=x":     `there is no option "token_file", only ca, cert, key, name and auth_file`,
		"zk://a?auth_file=gone":   "gone: no such file",
		"zk://a?auth_file=empty":  "is empty",
		"zk://a?auth_file=noauth": "does not hold user:password",
		"zk://a?cert=me.pem":      "cert and key go together",
	} {
		_, err := zookeeper.ParseURL(raw, dir)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "store: "+address.Redact(raw)) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want %q", raw, err, want)
		}
	}
}

package zookeeper

import (
	"fmt"
	"strings"

	"berth/runtime/store/address"
)

// defaultPath is where the store lies when an address has no path.
const defaultPath = "berth"

var grammar = address.Grammar{
	Scheme: "zk", Port: DefaultPort, TLSPort: DefaultPort, Path: true, Secret: "auth_file", Example: "zk://host:2181,host:2181/path",
	SecretHint: "write user:password into a file and name that with auth_file=",
}

// ParseURL reads where a ZooKeeper is, as store: in hosts.yml says it:
//
//	zk://10.0.0.1,10.0.0.2:2181,10.0.0.3        under the node /berth
//	zk://10.0.0.1/clusters/one                  under a node of one's own; clusters may share a ZooKeeper
//	zk://10.0.0.1?auth_file=zk.auth             digest authentication; the file holds user:password
//	zks://zk.lan?ca=ca.pem&cert=me.pem&key=me.key&name=zk   TLS, with the options that etcd:// has
//
// Relative files lie in dir.
func ParseURL(raw, dir string) (Config, error) {
	a, err := address.Parse(raw, dir, grammar)
	if err != nil {
		return Config{}, err
	}
	cfg := Config{Servers: a.Hosts, Path: "/" + a.Path, TLS: a.TLS}
	if a.Path == "" {
		cfg.Path += defaultPath
	}
	if a.Secret != "" {
		var ok bool
		if cfg.User, cfg.Password, ok = strings.Cut(a.Secret, ":"); !ok || cfg.User == "" {
			return Config{}, fmt.Errorf("store: %s: the file of auth_file does not hold user:password", raw)
		}
	}
	return cfg, nil
}

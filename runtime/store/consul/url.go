package consul

import (
	"os"

	"github.com/hashicorp/consul/api"

	"berth/runtime/store/address"
)

// defaultPrefix is where the store lies when an address has no path.
const defaultPrefix = "berth"

var grammar = address.Grammar{
	Scheme: "consul", Port: DefaultPort, TLSPort: DefaultTLSPort, Path: true, Secret: "token_file", Example: "consul://host:8500/prefix",
	SecretHint: "write the ACL token into a file and name that with token_file=",
}

// ParseURL reads where a Consul is, as store: in hosts.yml says it:
//
//	consul://10.0.0.1                            under the keys berth/
//	consul://10.0.0.1,10.0.0.2:8500/clusters/one under a prefix of one's own; clusters may share a Consul
//	consul://10.0.0.1?token_file=consul.token    with an ACL token; without, the one of CONSUL_HTTP_TOKEN, if there is one
//	consuls://consul.lan?ca=ca.pem               TLS (port 8501), with the options that etcd:// has
//
// Relative files lie in dir.
func ParseURL(raw, dir string) (Config, error) {
	a, err := address.Parse(raw, dir, grammar)
	if err != nil {
		return Config{}, err
	}
	cfg := Config{Servers: a.Hosts, Prefix: a.Path, TLS: a.TLS, Token: a.Secret}
	if cfg.Prefix == "" {
		cfg.Prefix = defaultPrefix
	}
	if cfg.Token == "" {
		cfg.Token = os.Getenv(api.HTTPTokenEnvName)
	}
	return cfg, nil
}

// Environment is what an address leaves to this process's environment, by option (address.Ship).
func Environment() map[string]string {
	return map[string]string{"token_file": os.Getenv(api.HTTPTokenEnvName)}
}

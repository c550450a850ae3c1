// Package agent is berth on a host: it holds the host's lease in the store, keeps bridges, tunnels and engine
// networks as the store wants them, answers names on them, and reports the states of containers. On store members it
// also runs the embedded etcd.
//
// It runs in a container of its own image (made from the berth binary by runtime/cluster), in the host's network
// namespace, with the engine's socket and the volume "berth-agent" at /var/lib/berth.
package agent

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
)

// Dir is the agent's folder inside its container; the files lie in it.
const (
	Dir        = "/var/lib/berth"
	ConfigFile = Dir + "/agent.json"
	CAFile     = Dir + "/ca.pem"
	CertFile   = Dir + "/cert.pem" // this host's certificate, server's and client's; with the embedded store its key too
	KeyFile    = Dir + "/key.pem"  // with an external store: the key of CertFile
	DataDir    = Dir + "/etcd"     // of the store member that the cluster began with; others have their ID after a dash

	// On members of the embedded store only: the CA's key, with which hosts get their certificates, and what the command
	// line needs.
	CAKeyFile  = Dir + "/ca-key.pem"
	AccessFile = Dir + "/access.json"

	refusedFile = Dir + "/refused.json" // hosts that were refused when the agent last knew
)

// Config is what the command line hands an agent when it makes its container.
type Config struct {
	Cluster string      `json:"cluster"` // cluster ID
	Host    string      `json:"host"`    // name in the inventory
	Address netip.Addr  `json:"address"` // underlay address the inventory knows; zero: found from the default route
	Socket  string      `json:"socket"`  // engine socket inside the agent's container
	Store   StoreConfig `json:"store"`
	Version string      `json:"version"` // of the berth binary
	// CertLife is how long certificates are good that this agent signs, in seconds; 0 is identity.Life.
	CertLife int64 `json:"cert_life,omitempty"`
}

// StoreConfig says where the store is, and whether this host is a member of the embedded one.
type StoreConfig struct {
	// Address is an external store's, as in hosts.yml; files that its options name lie in Dir. Empty with the embedded store,
	// and for agents of before there was more than etcd: then Endpoints, TLS and ServerName say where the store is.
	Address   string   `json:"address,omitempty"`
	Endpoints []string `json:"endpoints"` // https://addr:port of the embedded store's members, or http(s):// of an external etcd
	TLS       bool     `json:"tls"`       // use CAFile, CertFile and KeyFile, those of them that are there
	// ServerName is the name in the store's certificate where it is not the one dialled; "" for store.ServerName with
	// the embedded store, the address with an external one.
	ServerName string  `json:"server_name,omitempty"`
	Member     *Member `json:"member,omitempty"`
}

// Member is this host's part in the embedded store.
type Member struct {
	Name      string            `json:"name"`
	ClientURL string            `json:"client_url"` // listen and advertise
	PeerURL   string            `json:"peer_url"`
	Initial   map[string]string `json:"initial"` // member name → peer URL of the members, as last known
	Token     string            `json:"token"`   // cluster ID
	// ID is the member's ID, hexadecimal digits; "" for one that the cluster began with.
	ID string `json:"id,omitempty"`
	// Began says that it has served: from then on it does not begin without data.
	Began bool `json:"began,omitempty"`
	// Alone makes it the only member, because the others are lost for ever. It counts once.
	Alone bool `json:"alone,omitempty"`
	// First is put, key by key, before the member serves anybody for the first time.
	First map[string]string `json:"first,omitempty"`
}

// ReadConfig reads an agent's configuration.
func ReadConfig(path string) (Config, error) {
	var c Config
	b, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("agent: read configuration: %w", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("agent: read configuration %s: %w", path, err)
	}
	return c, nil
}

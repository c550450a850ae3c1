package placement

import "net/netip"

// HostState says whether a host can be talked to.
type HostState string

// The states of a host.
const (
	Ready       HostState = "ready"
	Unreachable HostState = "unreachable"
)

// Availability says whether a host takes tasks, as the user decided.
type Availability string

// The availabilities of a host (those of swarm's nodes).
const (
	Active Availability = "active" // the default
	Pause  Availability = "pause"  // takes no new tasks; those that are there stay
	Drain  Availability = "drain"  // takes no new tasks; those that are there leave
)

// Host is one engine, as the inventory names it and as it answered.
type Host struct {
	Name     string
	Address  string // as in the inventory
	State    HostState
	Problem  string // why it is unreachable, one sentence; "" when ready
	EngineID string
	Hostname string
	IP       string // address that the other hosts reach it at; "" when unknown
	OS, Arch string // GOOS and GOARCH names
	Version  string // engine version
	// Kernel, System and StorageDriver are what the engine says of its host: "6.1.0-13-amd64", "Debian GNU/Linux 12",
	// "overlay2"; "" when unknown.
	Kernel, System, StorageDriver string

	Availability Availability // "" is Active

	Labels       map[string]string // node.labels.*: inventory labels
	EngineLabels map[string]string // engine.labels.*: the daemon's own

	Capacity  Reservation    // what tasks may reserve: inventory or engine figure, less the host's reserve
	Reserved  Reservation    // held by running containers of other projects
	Resources Resources      // GPUs and generic resources: the inventory's, else what the engine says
	Held      Resources      // of these by running containers of other projects
	Devices   []string       // that the inventory says it has
	Ports     []Port         // published by running containers of other projects
	Routes    []netip.Prefix // networks that the host itself routes, berth's own excluded; overlap check
}

// Inventory is the hosts a command works on, in file order.
type Inventory struct {
	Path     string // file it came from; "" for the implied one local engine
	Hosts    []InventoryHost
	Store    string         // "embedded", or etcd://…, zk://… or consul://…
	Registry string         // "" : images travel from engine to engine
	Pool     []netip.Prefix // where network subnets are cut from; default 10.128.0.0/9
	MTU      int            // of overlay networks; 0 discovers it

	Encryption EncryptionSettings
}

// Cluster reports whether berth needs agents and a store: two hosts or more (DESIGN.md, "One host or many").
func (i *Inventory) Cluster() bool { return len(i.Hosts) > 1 }

// InventoryHost is one host as the inventory has it.
type InventoryHost struct {
	Name       string
	Address    string // unix://, tcp://, ssh://; "" with Context
	Context    string // docker context name
	TLS        string // absolute folder with ca.pem, cert.pem, key.pem; "" for none
	Identity   string // absolute path of an ssh private key; "" for ssh's own defaults
	KnownHosts string // absolute path of an ssh known_hosts file; "" for ssh's own defaults
	IP         string // overlay address when it differs from Address
	Socket     string // path of the engine's socket on the host, for the agent; "" is /var/run/docker.sock
	Labels     map[string]string
	CPUs       int64       // capacity in millicores; 0 asks the engine
	Memory     int64       // capacity in bytes; 0 asks the engine
	Reserve    Reservation // kept free of tasks
	Resources  Resources   // GPUs and generic resources; nil asks the engine
	Devices    []string    // device files and CDI names

	Availability Availability // "" is Active
}

// Package placement holds the vocabulary of berth and the rules of where a task may run.
//
// Read this file first: it has one type for each word that the rest of the house uses. The words that live
// elsewhere are Plan and Step (scheduler/plan.go), Store (runtime/store), the keys and records in it (runtime/ledger)
// and Agent (runtime/agent).
//
//	Project      a loaded compose application             Service   one entry of its services
//	Task         one replica of a service: "web.3"        Host      one engine of the inventory
//	Reservation  CPU and memory that a task holds         Constraint / Preference   must / should
//	Observation  one snapshot of all hosts and the store
//	Network, Block, Endpoint   an overlay, the part of it a host hands out, a task's address on it
//
// The package is pure: no I/O, no clock, no engine, store or netlink imports (a test enforces it).
package placement

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// Project is a loaded compose application, profiles and overrides already resolved.
type Project struct {
	Name     string     // lowercase [a-z0-9_-], the compose project name rules
	Dir      string     // absolute project folder; relative paths in the file are resolved against it
	Services []*Service // enabled services, sorted by name
	Bases    []*Service // services that are not enabled, but whose images enabled ones are built from; sorted by name
	Networks []*NetworkSpec
	Volumes  []*VolumeSpec
	Warnings []string // one sentence for each compose key that berth does not honour
	// Separator stands between project, service and number in container names; "" is "-", "_" with --compatibility.
	Separator string

	// Contents are those of external secrets and configs, by "secret/<key>" and "config/<key>". They are in memory only:
	// no plan, label or record has them.
	Contents map[string][]byte

	// Compose is the whole loaded model, for `config` and for what only the engine adapter reads.
	Compose *types.Project
	// Disabled holds the services switched off by profiles or not selected on the command line, sorted; they are no
	// orphans.
	Disabled []string
	// EnvFiles are the files of --env-file or COMPOSE_ENV_FILES, absolute; empty when only .env was looked for. They are
	// the com.docker.compose.project.environment_file label.
	EnvFiles []string
}

// Service returns the enabled service of that name, or nil.
func (p *Project) Service(name string) *Service {
	for _, s := range p.Services {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Source returns the enabled service of that name, or the one that images are built from, or nil.
func (p *Project) Source(name string) *Service {
	for _, s := range p.Bases {
		if s.Name == name {
			return s
		}
	}
	return p.Service(name)
}

// Mode says how many tasks a service has.
type Mode string

// The modes of a service (compose spec, deploy.mode).
const (
	Replicated Mode = "replicated" // Replicas tasks, anywhere
	Global     Mode = "global"     // one task on each host that the constraints admit
)

// Service is one entry of `services:` as the planner sees it. Spec is the compose entry itself.
type Service struct {
	Name          string
	Mode          Mode
	Replicas      int           // wanted tasks; ignored for Global
	Job           bool          // its tasks run to completion, once: an up runs those again that failed or changed
	ContainerName string        // container_name; "" for <project>-<service>-<n>
	Image         string        // normalised by the loader only as far as compose does: "" means <project>-<service>
	PullPolicy    string        // always, never, missing, if_not_present, build, daily …; "" is missing
	PullEvery     time.Duration // age at which a PullPolicy of daily, weekly, every_… pulls anew
	Platform      string        // os/arch[/variant], "" for any

	Reservation Reservation  // accounted and enforced, per task
	Resources   Resources    // GPUs and generic resources that each task needs; accounted
	Devices     []string     // device files and CDI names that it needs of its host
	Constraints []Constraint // the hard ones must hold, the soft ones should
	Preferences []Preference // in order of weight
	Strategy    Strategy
	Seed        uint64 // of Random
	MaxPerHost  int    // deploy.placement.max_replicas_per_node; 0 is unlimited

	Ports    []Port       // published in host mode
	Ingress  []Port       // published in mode ingress, on every host of the cluster; without HostIP, and with a number
	Networks []Attachment // networks by key, in priority order; empty with network_mode
	Mounts   []Mount
	// Links are names that only the containers of this service know: alias → service of the project, or container.
	Links     map[string]string
	Files     []File       // of the user's machine, copied into the container before it starts (on a cluster)
	DependsOn []Dependency // sorted by service name
	// SharesWith names the services whose namespaces or volumes this one uses (network_mode: service:x, ipc, pid,
	// volumes_from), and those that it is linked to on the engine's own bridge, where the engine looks for the linked
	// container when it makes this one. Replica i lands beside replica i.
	SharesWith []string

	Build *Build // how its image is made; nil when it is not

	ConfigHash     string        // SHA-256 hex of the canonical compose entry (COMPOSE.md, "Names and labels"), and of what is sent along
	Absent         []string      // sentences about secrets and configs that it needs and that are not there: no container is made
	HasHealthcheck bool          // a healthcheck in the file that is not disabled (an image may add one)
	StopTimeout    time.Duration // stop_grace_period; 0 is the engine's 10 s
	Spec           *types.ServiceConfig
}

// Build is what planning needs of `build:`; the rest is in Spec.
type Build struct {
	Platforms []string     // os/arch[/variant], of which the builder's host must have one; empty is any
	Uses      []string     // services whose images it is made from, sorted: they are built before it, on the same host
	On        []Constraint // must hold on the host that builds: hard, and about hosts
}

// Dependency is one entry of depends_on.
type Dependency struct {
	Service   string
	Condition Condition
	Required  bool // required: false makes a missing or failed dependency a warning
	Restart   bool // restart: true restarts the dependent when the dependency is recreated
}

// Condition is the state that a dependent waits for.
type Condition string

// The conditions of depends_on.
const (
	Started   Condition = "service_started"
	Healthy   Condition = "service_healthy"
	Completed Condition = "service_completed_successfully"
)

// Attachment is a service's membership in one network.
type Attachment struct {
	Network string // key in the project's networks
	Aliases []string
	IPv4    string // ipv4_address, "" when free
	IPv6    string // ipv6_address, "" when free
	MAC     string // mac_address, "" when it follows the address
}

// Fixed are the addresses that the file gives, which one task can have and no more.
func (a Attachment) Fixed() []string {
	return slices.DeleteFunc([]string{a.IPv4, a.IPv6, a.MAC}, func(s string) bool { return s == "" })
}

// Mount is one volume or bind of a service.
type Mount struct {
	Type     string // volume, bind, tmpfs …
	Source   string // key in the project's volumes, or a path; "" for anonymous volumes
	Target   string
	ReadOnly bool
}

// File is a file of the user's machine that a service sees at Target, with its own mode and owner. What the container
// writes to it stays in that container.
type File struct {
	Path   string // absolute, on the user's machine
	Target string
}

// Port is one published port: in host mode of the task's host.
type Port struct {
	HostIP    string // "" is all addresses
	Published uint16 // 0 lets the engine choose
	Target    uint16
	Protocol  string // tcp, udp, sctp
}

// String is the port as compose writes it, for messages: "127.0.0.1:80/tcp".
func (p Port) String() string {
	s := strconv.Itoa(int(p.Published)) + "/" + p.Protocol
	if p.HostIP != "" {
		s = p.HostIP + ":" + s
	}
	return s
}

// Conflicts reports whether both ports cannot be bound on one host: same number and protocol, overlapping address.
func (p Port) Conflicts(q Port) bool {
	if p.Published == 0 || p.Published != q.Published || p.Protocol != q.Protocol {
		return false
	}
	any := func(a string) bool { return a == "" || a == "0.0.0.0" || a == "::" }
	return any(p.HostIP) || any(q.HostIP) || p.HostIP == q.HostIP
}

// PortRecord is the store's memory of a port in mode ingress: every host answers Published, and passes on what comes
// there to Target of the service's tasks that serve. A port is of one service in the whole cluster.
type PortRecord struct {
	Published uint16 `json:"published"`
	Target    uint16 `json:"target"`
	Protocol  string `json:"protocol"` // tcp, udp
	Project   string `json:"project"`
	Service   string `json:"service"`
	Network   string `json:"network"` // engine name of the overlay on which the hosts reach the tasks
}

// Port is the published side, for comparisons and messages.
func (r PortRecord) Port() Port {
	return Port{Published: r.Published, Target: r.Target, Protocol: r.Protocol}
}

// NetworkSpec is one entry of `networks:`.
type NetworkSpec struct {
	Key      string
	Name     string // engine name: <project>_<key> or name:
	External bool
	Internal bool
	Driver   string         // "" and "bridge" become an overlay on a cluster; "host"/"none"/others are the engine's own
	Subnets  []netip.Prefix // ipam subnets as given; empty lets berth choose
	// ConfigHash is the SHA-256 hex of the compose entry, the com.docker.compose.config-hash label of the network.
	ConfigHash string
	Spec       *types.NetworkConfig
}

// VolumeSpec is one entry of `volumes:`.
type VolumeSpec struct {
	Key      string
	Name     string // engine name: <project>_<key> or name:
	External bool
	Driver   string
	// ConfigHash is the SHA-256 hex of the compose entry, the com.docker.compose.config-hash label of the volume.
	ConfigHash string
	Spec       *types.VolumeConfig
	// Seed is what the volume is filled with where it is made; nil for a volume that starts empty.
	Seed *Seed
}

// Seed is a folder of the user's machine that a volume stands for: a relative bind mount on a cluster.
type Seed struct {
	Path string // absolute; "" for a folder that does not exist, which is an empty volume
	// Fixed says that services only read it: the volume's name has the content's hash in it, so that its content never
	// changes, it can be made on any host, ties nobody to one, and goes when nothing uses it. Otherwise the folder is
	// only where the data begins.
	Fixed bool
}

// Reservation is what a task holds of a host, and a host's capacity in the same units.
type Reservation struct {
	CPU    int64 // millicores
	Memory int64 // bytes
}

// Add returns the sum.
func (r Reservation) Add(o Reservation) Reservation {
	return Reservation{r.CPU + o.CPU, r.Memory + o.Memory}
}

// Sub returns the difference.
func (r Reservation) Sub(o Reservation) Reservation {
	return Reservation{r.CPU - o.CPU, r.Memory - o.Memory}
}

// Task names one replica of a service.
type Task struct {
	Service string
	Number  int // from 1; 0 for what is no replica: a one-off
}

// String is "web.3"; the service alone where there is no number.
func (t Task) String() string {
	if t.Number == 0 {
		return t.Service
	}
	return t.Service + "." + strconv.Itoa(t.Number)
}

// ParseTask reads "web.3".
func ParseTask(s string) (Task, error) {
	i := strings.LastIndexByte(s, '.')
	if i > 0 {
		if n, err := strconv.Atoi(s[i+1:]); err == nil && n > 0 {
			return Task{s[:i], n}, nil
		}
	}
	return Task{}, fmt.Errorf("task %q: want <service>.<number>", s)
}

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

// Observation is everything a planner may know: one snapshot of hosts and store.
type Observation struct {
	Cluster    bool
	Hosts      []Host                       // inventory order
	Containers []Container                  // the project's, on all reachable hosts, sorted by host order then name
	Networks   []EngineNetwork              // the project's and those it names, on reachable hosts
	Volumes    []EngineVolume               // the project's and those it names, on reachable hosts
	Outside    []OutsideContainer           // containers of others that the project names
	Images     map[string]map[string]string // host → image reference as the file has it → image ID; absent: not there
	ImageFacts map[string]map[string]Image  // the same, with what else the host says of it; may be empty
	ImageNames map[string][]string          // host → names of all its images, sorted; only where a constraint asks (NamesImages)
	// Made holds the references that this command has built or pulled already, with the IDs (one a platform) of what all
	// hosts are to have; none when that failed and need not succeed.
	Made     map[string][]string
	Registry string    // the inventory's; "" when images travel from engine to engine
	Time     time.Time // when the snapshot was taken, by this machine's clock

	// What the store knows (empty without a cluster).
	Revision  int64 // the store revision that the rest is true at
	Recorded  map[Task]TaskRecord
	Pins      map[string]string // engine volume name → host that holds its data
	Overlays  []Network         // all projects' (a new one must avoid their subnets and VNIs)
	Endpoints []Endpoint        // of the project's containers, and all on external overlays that the project names
	Guests    []Endpoint        // containers that are on overlays by hand, which have addresses too
	Ingress   []PortRecord      // all projects' ports in mode ingress
	// Unanswered holds the ports in mode ingress, as Port.String has them, that some host's agent says it cannot answer,
	// with the reason.
	Unanswered map[string]string
	Pool       []netip.Prefix // from the inventory
	MTU        int            // of new overlays, bytes; from the inventory; 0 leaves it to the agents, who know the paths
}

// Host returns the host of that name, or nil.
func (o *Observation) Host(name string) *Host {
	for i := range o.Hosts {
		if o.Hosts[i].Name == name {
			return &o.Hosts[i]
		}
	}
	return nil
}

// Image is what a host says of an image under one name.
type Image struct {
	ID      string
	Tagged  time.Time // when the name was given to it there, or, where the engine does not tell, when it was made
	Digests []string  // "repository@sha256:…", what registries call it
}

// Container is one container of the project as an engine lists it.
type Container struct {
	ID, Name    string // full ID; name without the leading slash
	Host        string
	Task        Task // Number 0 for one-offs
	OneOff      bool
	State       string // created, running, paused, restarting, removing, exited, dead
	Health      string // "", starting, healthy, unhealthy
	ExitCode    int    // of the last run, when exited
	Image       string // reference or ID as the engine lists it
	ImageID     string // image ID it was made from
	ConfigHash  string
	Replaces    string            // com.docker.compose.replace: name of the container it was made to replace; temporary name until then
	Networks    map[string]string // engine network name → IPv4 address ("" while not running)
	Mounts      []Mount           // Source is the engine volume name or the path
	Ports       []Port
	Ingress     []Port // of its service when it was made
	Created     time.Time
	Labels      map[string]string
	Command     string
	Status      string // engine's text: "Up 3 seconds (healthy)"
	Reservation Reservation
	Resources   Resources
	// Same is set by the observer for a container that another tool's hash describes, when what the engine runs
	// equals what berth would create.
	Same bool
}

// Running reports whether the container is up (paused counts, as for compose).
func (c *Container) Running() bool { return c.State == "running" || c.State == "paused" }

// EngineNetwork is a network as one engine has it.
type EngineNetwork struct {
	Host, Name, ID, Driver string
	Project, Key           string // com.docker.compose labels; "" when not made by compose or berth
	ConfigHash             string
	Labels                 map[string]string
	Subnets                []netip.Prefix
}

// EngineVolume is a volume as one engine has it.
type EngineVolume struct {
	Host, Name, Driver string
	Scope              string // local, or global for a driver that shows one volume on all hosts; "" is not known
	Project, Key       string
	ConfigHash         string
	Labels             map[string]string
	Fixed              bool // made for a Seed that is Fixed
	Unseeded           bool // a container marks it: the command that fills it has not ended
}

// TaskRecord is the store's memory of where a task was put.
type TaskRecord struct {
	Host      string `json:"host"`
	Container string `json:"container"` // container name
	Hash      string `json:"hash"`      // config hash
	// Instead is the number of the task whose place this one takes while a rebalance moves it: both are there until this
	// one runs. 0 otherwise.
	Instead int `json:"instead,omitempty"`
}

// ContainerRecord is what the store knows of a container beside what its other labels say.
type ContainerRecord struct {
	Endpoints []Endpoint   `json:"endpoints,omitempty"`
	Pins      []string     `json:"pins,omitempty"`  // engine names of volumes that tie the task to this host
	Ports     []PortRecord `json:"ports,omitempty"` // of its service
	// Joins says, by engine network name, how the container is on networks beside its address; without those that it is on
	// in no special way.
	Joins map[string]Join `json:"joins,omitempty"`
	// Unchecked says that its engine runs no health check on it: it serves from its start, and the agent need not ask.
	Unchecked bool `json:"unchecked,omitempty"`
}

// Join is how a container is on a network, beside its address: what an engine is told, and forgets when the container is
// taken off the network.
type Join struct {
	DriverOpts      map[string]string `json:"driver_opts,omitempty"`      // of the endpoint
	GatewayPriority int               `json:"gateway_priority,omitempty"` // engines before 28 do not know it
	LinkLocal       []string          `json:"link_local,omitempty"`       // addresses
}

// Network is an overlay network: its address space and members.
type Network struct {
	Name     string            `json:"name"` // engine name, unique in the cluster
	Project  string            `json:"project"`
	Key      string            `json:"key"`
	VNI      uint32            `json:"vni"` // from 1<<20 up
	Subnet   netip.Prefix      `json:"subnet"`
	Subnet6  netip.Prefix      `json:"subnet6,omitzero"` // zero: no IPv6
	MTU      int               `json:"mtu,omitempty"`    // bytes inside the tunnel; 0: the agent's own figure
	Internal bool              `json:"internal,omitempty"`
	Options  map[string]string `json:"options,omitempty"` // driver_opts for the engine's bridge
	Labels   map[string]string `json:"labels,omitempty"`  // engine labels
	Blocks   map[string]Block  `json:"blocks"`            // by host: a host is on the network exactly while it has a block
}

// Block is the part of a network's subnet that one host's engine hands out by itself (docker run --network …).
// Addresses of tasks come from the rest of the subnet, out of the store.
type Block struct {
	Range   netip.Prefix `json:"range"`
	Gateway netip.Addr   `json:"gateway"` // the bridge's address on that host, inside Range; each host has its own

	Range6   netip.Prefix `json:"range6,omitzero"` // both zero on a network without IPv6
	Gateway6 netip.Addr   `json:"gateway6,omitzero"`
}

// Endpoint is a task's address on a network, and the names it answers to there.
type Endpoint struct {
	Network   string     `json:"network"`   // engine network name
	Container string     `json:"container"` // container name, unique in the cluster
	Host      string     `json:"host"`
	Project   string     `json:"project"`
	Service   string     `json:"service"`
	Number    int        `json:"number"`
	IP        netip.Addr `json:"ip"`
	MAC       string     `json:"mac"`               // 02:42 + the four address bytes, as the engine's bridge driver derives it
	Aliases   []string   `json:"aliases,omitempty"` // beside service and container name
	IP6       netip.Addr `json:"ip6,omitzero"`      // zero on a network without IPv6

	Links  map[string]string `json:"links,omitempty"`  // Service.Links
	Ports  []EndpointPort    `json:"ports,omitempty"`  // that the service publishes
	OwnDNS bool              `json:"owndns,omitempty"` // the service has name servers of its own (dns:), which are asked what berth does not know
}

// EndpointPort is a container's port that its service publishes.
type EndpointPort struct {
	Name     string `json:"name,omitempty"` // in the file, "" for none
	Target   uint16 `json:"target"`
	Protocol string `json:"protocol"` // tcp, udp, sctp
}

// MACFor returns the MAC address of an IPv4 endpoint: 02:42 followed by the address, the rule of the engine's own
// bridge driver (libnetwork netutils.GenerateMACFromIP), so that engines that ignore a wanted MAC agree with it.
func MACFor(ip netip.Addr) string {
	b := ip.As4()
	return fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
}

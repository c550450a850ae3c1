// Package placement holds the vocabulary of berth and the rules of where a task may run.
//
// Read this file first, then inventory.go, observation.go and record.go: together they have one type for each word that the
// rest of the house uses; this one has what a user asks for. The words that live elsewhere are Plan and Step
// (scheduler/plan.go), Store (runtime/store), the keys that records have in it (runtime/ledger) and Agent (runtime/agent).
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
	// Providers are the enabled services that a program outside the engines runs, sorted by name. They are not in Services.
	Providers []*Provider
	Bases     []*Service // services that are not enabled, but whose images enabled ones are built from; sorted by name
	Networks  []*NetworkSpec
	Volumes   []*VolumeSpec
	Warnings  []string // one sentence for each compose key that berth does not honour
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

// Provider returns the enabled service of that name that a program provides, or nil.
func (p *Project) Provider(name string) *Provider {
	for _, s := range p.Providers {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Has reports whether the project has an enabled service of that name, of containers or provided.
func (p *Project) Has(name string) bool { return p.Service(name) != nil || p.Provider(name) != nil }

// Source returns the enabled service of that name, or the one that images are built from, or nil.
func (p *Project) Source(name string) *Service {
	for _, s := range p.Bases {
		if s.Name == name {
			return s
		}
	}
	return p.Service(name)
}

// Provider is a service that a program on the machine where berth runs provides (provider: in the file): it has no
// container. It is called before what depends on it is made, and says then which variables that gets.
type Provider struct {
	Name      string              // of the service
	Type      string              // the program: docker-<type> among docker's plugins, or <type> in PATH
	Options   map[string][]string // its flags, and the values of each
	DependsOn []Dependency        // sorted by service name
	// Provided says that it was called, and that its variables are in the services that depend on it.
	Provided bool
	// Stops says that it told that it can be halted: docker compose after v2.40 does that at a stop.
	Stops bool
	// Variables are those, under the names that the services see. They are in memory and in containers only: no plan, label,
	// record or line of output has their values.
	Variables map[string]string
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
	// volumes_from; container:x too, where x is the container_name of a service that it depends on), and those that it is
	// linked to on the engine's own bridge, where the engine looks for the linked container when it makes this one. Replica
	// i lands beside replica i.
	SharesWith []string

	Build *Build // how its image is made; nil when it is not

	// BareHash is ConfigHash without the variables of providers, which the container has as BareHashLabel; Bare is the service
	// without them as it was loaded. "" and nil for a service that depends on no provider.
	BareHash string
	Bare     *Bare

	ConfigHash     string        // SHA-256 hex of the canonical compose entry (COMPOSE.md, "Names and labels"), and of what is sent along
	Absent         []string      // sentences about secrets and configs that it needs and that are not there: no container is made
	HasHealthcheck bool          // a healthcheck in the file that is not disabled (an image may add one)
	StopTimeout    time.Duration // stop_grace_period; 0 is the engine's 10 s
	Spec           *types.ServiceConfig
}

// Bare is a service before providers were called.
type Bare struct {
	Hash string // config hash
	Spec *types.ServiceConfig
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

// String is the port as compose writes it, for messages: "127.0.0.1:80/tcp", "[::1]:80/tcp".
func (p Port) String() string {
	s := strconv.Itoa(int(p.Published)) + "/" + p.Protocol
	switch {
	case strings.Contains(p.HostIP, ":"):
		s = "[" + p.HostIP + "]:" + s
	case p.HostIP != "":
		s = p.HostIP + ":" + s
	}
	return s
}

// Conflicts reports whether both ports cannot be bound on one host: same number and protocol, overlapping address. An
// engine binds the two families each for itself: 0.0.0.0 is all addresses of IPv4 and :: all of IPv6.
func (p Port) Conflicts(q Port) bool {
	if p.Published == 0 || p.Published != q.Published || p.Protocol != q.Protocol {
		return false
	}
	if p.HostIP == "" || q.HostIP == "" || p.HostIP == q.HostIP {
		return true
	}
	a, errA := netip.ParseAddr(p.HostIP)
	b, errB := netip.ParseAddr(q.HostIP)
	if errA != nil || errB != nil { // nothing that an engine would bind
		return false
	}
	a, b = a.Unmap(), b.Unmap()
	return a == b || a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified())
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

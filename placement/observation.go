package placement

import (
	"net/netip"
	"time"
)

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

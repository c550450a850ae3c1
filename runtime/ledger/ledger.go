// Package ledger is what berth keeps in the store: the keys, and the records under them as JSON. The command line
// and the agents both read and write it, so a change here is a change of protocol.
//
//	berth/epoch                             Epoch, put by the first agent, and by who finds that the store has lost something
//	berth/cluster                           the cluster's ID
//	berth/hosts/<host>                      Host, put by the host's agent
//	berth/alive/<host>                      "", under the agent's lease: absent means the host is lost
//	berth/encryption                        Encryption, put by the command line
//	berth/networks/<network>                placement.Network, put by the command line
//	berth/ready/<network>/<host>            Ready, put by the agent while bridge, tunnel and engine network stand
//	berth/endpoints/<network>/<container>   placement.Endpoint, put by the command line
//	berth/state/<host>/<container>          State, put by the agent under its lease
//	berth/guests/<host>/<network>/<container>
//	                                        placement.Endpoint of a container started by hand, put by the agent under its lease
//	berth/ports/<protocol>-<port>           placement.PortRecord, put by the command line: a port in mode ingress
//	berth/answers/<host>                    Answers, put by the agent under its lease: how far it is with these ports
//	berth/withdrawn/<host>/<container>      "", put under a command's lease before it stops the container, deleted by the
//	                                        agent once that does not run: nobody sends it anything new
//	berth/projects/<project>/lock           Lock, under the command's lease
//	berth/projects/<project>/tasks/<task>   placement.TaskRecord
//	berth/projects/<project>/pins/<volume>  host name
//	berth/members                           Membership of the embedded store, put by the command line
//	berth/refused/<host>                    Refusal, put by the command line when a host leaves the inventory
//	berth/renewals/<host>                   Renewal, put by the host's agent and answered by a store member's
//	berth/secrets/<name>                    Object, put by the command line
//	berth/configs/<name>                    Object, put by the command line
package ledger

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"berth/placement"
)

// Key prefixes, each with its trailing slash.
const (
	Root      = "berth/"
	Hosts     = Root + "hosts/"
	Alive     = Root + "alive/"
	Networks  = Root + "networks/"
	Readies   = Root + "ready/"
	Endpoints = Root + "endpoints/"
	States    = Root + "state/"
	Guests    = Root + "guests/"
	Ports     = Root + "ports/"
	Answering = Root + "answers/"
	Withdrawn = Root + "withdrawn/"
	Projects  = Root + "projects/"
	Secrets   = Root + "secrets/"
	Configs   = Root + "configs/"
	Refused   = Root + "refused/"
	Renewals  = Root + "renewals/"
)

// The kinds of objects.
const (
	Secret = "secret"
	Config = "config"
)

// Object is an external secret or config. Its content is sealed with a key that is not in the store.
type Object struct {
	Created time.Time         `json:"created"`
	Labels  map[string]string `json:"labels,omitempty"`
	Sealed  []byte            `json:"sealed"`
}

// ObjectKey is the key of a secret or config.
func ObjectKey(kind, name string) string {
	if kind == Config {
		return Configs + name
	}
	return Secrets + name
}

// Host is what an agent says of its host.
type Host struct {
	Name   string         `json:"name"`
	VTEP   netip.Addr     `json:"vtep"`   // underlay address of the tunnels
	Device string         `json:"device"` // underlay interface
	MTU    int            `json:"mtu"`    // of the underlay interface, bytes
	Routes []netip.Prefix `json:"routes"` // what the host routes, without berth's own bridges
	Agent  string         `json:"agent"`  // the agent's version
	Engine Engine         `json:"facts"`  // what the engine says of itself
	// Epoch is the ID of the Epoch in which the host has told all that runs on it; "" before.
	Epoch string `json:"epoch,omitempty"`
	// Problems are sentences about what runs on the host and could not be told: another host has its address or name.
	Problems []string `json:"problems,omitempty"`

	WireGuard *WireGuard `json:"wireguard,omitempty"` // while the host is on an encrypted network

	// Paths are the MTUs of the paths to other hosts, bytes, where they are less than both hosts' own.
	Paths map[string]int `json:"paths,omitempty"`
	// Silent are the hosts that share a network with this one and do not answer its tunnels, sorted.
	Silent []string `json:"silent,omitempty"`
	// OwnChecksums says that the host's kernel computes the checksums of what goes into tunnels, because its network card
	// gets them wrong.
	OwnChecksums bool `json:"own_checksums,omitempty"`

	Store *StoreMember `json:"store,omitempty"`
}

// StoreMember is what a host's agent says of its member of the embedded store.
type StoreMember struct {
	ID      string `json:"id"`                // hexadecimal digits
	Problem string `json:"problem,omitempty"` // why it does not serve and will not by itself
	Waits   string `json:"waits,omitempty"`   // why it does not serve until that is over
}

// Engine is what a host's engine says of itself. The agent asks when it connects to the engine, so that commands need
// not: the engine runs other programs to answer.
type Engine struct {
	ID        string              `json:"id"`
	Hostname  string              `json:"hostname"`
	OS        string              `json:"os"`   // GOOS name
	Arch      string              `json:"arch"` // GOARCH name
	Version   string              `json:"version"`
	CPU       int64               `json:"cpu"`    // millicores
	Memory    int64               `json:"memory"` // bytes
	Labels    map[string]string   `json:"labels,omitempty"`
	Resources placement.Resources `json:"resources,omitempty"` // GPUs and generic resources

	Kernel        string `json:"kernel,omitempty"`
	System        string `json:"system,omitempty"` // the operating system's name
	StorageDriver string `json:"storagedriver,omitempty"`
}

// Ready says that a network stands on a host.
type Ready struct {
	// Revision is the store revision of the placement.Network record that stands there: who has changed the record
	// waits for this to reach the revision of the change.
	Revision      int64  `json:"revision"`
	EngineNetwork string `json:"engine_network"` // network ID in that engine
	Problem       string `json:"problem,omitempty"`
	// Used says that the network is wanted no more, and is removed as soon as the containers that Problem names are gone.
	Used bool `json:"used,omitempty"`
}

// State is a container's state as its agent sees it.
type State struct {
	Running bool   `json:"running"`
	Health  string `json:"health,omitempty"` // "", starting, healthy, unhealthy
}

// Serving reports whether names should answer with the container: running, and healthy if it has a check.
func (s State) Serving() bool { return s.Running && (s.Health == "" || s.Health == "healthy") }

// Answers says how far a host is with the ports in mode ingress.
type Answers struct {
	// Revision is the store revision of which everything about ports has been done: who has changed a record, or has
	// withdrawn a container, waits for this to reach the revision of the change.
	Revision int64 `json:"revision"`
	// Problems are why the host does not answer a port: by port as placement.Port.String has it, a sentence.
	Problems map[string]string `json:"problems,omitempty"`
}

// Lock names the command that works on a project, so that one on the same machine can tell whether it still lives.
type Lock struct {
	Machine string `json:"machine"`
	PID     int    `json:"pid"`
	Started int64  `json:"started"` // process start time, clock ticks since boot (/proc/<pid>/stat field 22)
	Command string `json:"command"`
}

// HostKey is the key of a host's record.
func HostKey(host string) string { return Hosts + host }

// AliveKey is the key that a host's lease holds.
func AliveKey(host string) string { return Alive + host }

// NetworkKey is the key of an overlay network.
func NetworkKey(network string) string { return Networks + network }

// ReadyKey is where a host's agent reports a network.
func ReadyKey(network, host string) string { return Readies + network + "/" + host }

// EndpointKey is the key of an endpoint.
func EndpointKey(e placement.Endpoint) string { return Endpoints + e.Network + "/" + e.Container }

// StateKey is where a host's agent reports a container.
func StateKey(host, container string) string { return States + host + "/" + container }

// GuestKey is where a host's agent reports a container that is on a network by hand and not by the store's word.
func GuestKey(e placement.Endpoint) string {
	return Guests + e.Host + "/" + e.Network + "/" + e.Container
}

// PortKey is the key of a port in mode ingress.
func PortKey(protocol string, published uint16) string {
	return Ports + protocol + "-" + strconv.Itoa(int(published))
}

// AnswersKey is where a host's agent says how far it is with ports.
func AnswersKey(host string) string { return Answering + host }

// WithdrawnKey says that a container is about to be stopped.
func WithdrawnKey(host, container string) string { return Withdrawn + host + "/" + container }

// ProjectPrefix holds what the store knows of one project beside its networks.
func ProjectPrefix(project string) string { return Projects + project + "/" }

// LockKey is held by the command that works on the project.
func LockKey(project string) string { return ProjectPrefix(project) + "lock" }

// TaskKey is the key of a task's record.
func TaskKey(project string, t placement.Task) string {
	return ProjectPrefix(project) + "tasks/" + t.String()
}

// PinKey is the key of a volume's pin.
func PinKey(project, volume string) string { return ProjectPrefix(project) + "pins/" + volume }

// Split returns the part of a key after prefix, cut at slashes; nil when the key is not under prefix.
func Split(key, prefix string) []string {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok || rest == "" {
		return nil
	}
	return strings.Split(rest, "/")
}

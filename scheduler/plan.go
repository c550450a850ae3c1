// Package scheduler turns a project and an observation into a plan. It is pure: same input, same plan, on every run
// and platform; it reads no clock, engine or store.
package scheduler

import (
	"net/netip"
	"time"

	"berth/placement"
)

// Kind says what a step does. The executor has one function for each.
type Kind string

// The kinds of steps. "after" in a plan means: all those steps succeeded.
const (
	// Record applies Plan.Change to the store in one transaction. At most one a plan, before all that depends on it:
	// first in an up; in a down after the containers are gone and before the networks, which agents take down because
	// the record says so.
	Record Kind = "record"
	// CreateNetwork makes the engine network Network on Host: plain on one host; on a cluster it waits until the
	// host's agent reports the overlay ready there.
	CreateNetwork Kind = "create network"
	// RemoveNetwork removes it; on a cluster the step waits until the host's agent reports it gone.
	RemoveNetwork Kind = "remove network"
	// Leave takes ContainerID, which does not run, off network Network.
	Leave Kind = "disconnect"
	// Join puts it on Network again.
	Join Kind = "connect"
	// CreateVolume makes the engine volume of Volume on Host.
	CreateVolume Kind = "create volume"
	// SeedVolume makes the engine volume of Volume on Host and fills it with what Volume.Seed says, by a container of
	// Service's image that is never started. One that is there half-filled is made anew.
	SeedVolume Kind = "seed volume"
	// RemoveVolume removes engine volume Name on Host.
	RemoveVolume Kind = "remove volume"
	// Pull pulls image Name on Host: by Digest where that is set, out of the registry's Ref where that is; with From set,
	// the image comes from that host when the registry does not give it.
	Pull Kind = "pull"
	// RemoveImage removes image Name on Host.
	RemoveImage Kind = "remove image"
	// Build builds Service's image, Name, on Host; with Attempt set it is pulled where the registry has it.
	Build Kind = "build"
	// Push pushes image Name on Host as Ref; "" is its own name.
	Push Kind = "push"
	// Send brings image Name from host From to Host, engine to engine. All sends of one image that wait for the same steps
	// are one reading of it on From.
	Send Kind = "send"
	// Provide calls the Provider of service Name on the machine where the command runs; what depends on it is made anew when
	// its variables are others than before, so that the rest of the plan is only known then: see Anew.
	Provide Kind = "provide"
	// Halt calls it to stop what it provides, which stays there.
	Halt Kind = "halt"
	// Release calls it to take down what it provides.
	Release Kind = "release"
	// Create creates the container of Task under Name on Host; with Replaces set it carries the replace label.
	Create Kind = "create"
	// Start starts container Name (created by an earlier step of the plan, or there already as ContainerID).
	Start Kind = "start"
	// Withdraw takes ContainerID, as Name, from the ports in mode ingress before it is stopped: when it is done, no host
	// sends it a new connection. Those that it has stay.
	Withdraw Kind = "withdraw"
	// Publish waits until the Hosts answer port Name in mode ingress, or one of them says why it cannot.
	Publish Kind = "publish"
	// Stop stops ContainerID with Timeout.
	Stop Kind = "stop"
	// Restart stops ContainerID with Timeout and starts it again.
	Restart Kind = "restart"
	// Kill sends Signal to ContainerID.
	Kill Kind = "kill"
	// Pause freezes ContainerID.
	Pause Kind = "pause"
	// Unpause lets it go on.
	Unpause Kind = "unpause"
	// Remove removes ContainerID, and its anonymous volumes where Anonymous is set. Already gone is success.
	Remove Kind = "remove"
	// Rename gives the container made as Name its final name To.
	Rename Kind = "rename"
	// Wait waits until container Name meets Condition.
	Wait Kind = "wait"
	// Forget applies Plan.Forget to the store (what is gone from the hosts); last.
	Forget Kind = "forget"
)

// Step is one thing to do on one host. Which fields are set depends on Kind (see there).
type Step struct {
	ID    int // position in Plan.Steps, from 0
	Kind  Kind
	Host  string         // "" for store steps and providers
	Task  placement.Task // of container steps; zero for others and for orphans' unknown numbers
	Name  string         // container, volume, network or image the step is about
	Why   string         // "new replica", "configuration changed", "orphan" …
	After []int          // IDs of the steps that must have succeeded

	Service     *placement.Service     // Create, Start, Stop, Restart, Pull, Build, SeedVolume; nil for orphans and without a file
	Provider    *placement.Provider    // Provide, Halt, Release
	Network     *placement.NetworkSpec // CreateNetwork, Leave, Join
	Volume      *placement.VolumeSpec  // CreateVolume, SeedVolume
	Endpoints   []placement.Endpoint   // Create on a cluster: its addresses
	Resolvers   []netip.Addr           // Create on a cluster: the agent's name server on each of its networks
	ImageID     string                 // Create, SeedVolume: the image on Host; "" when a pull of this plan brings it
	ContainerID string                 // of a container that exists already
	From        string                 // Send, Pull: host that has the image
	Ref         string                 // Push, Pull: what the image is called in the inventory's registry
	Digest      string                 // Pull: "repository@sha256:…"; "" is what the name means now, the same for all hosts
	Attempt     bool                   // Build: pull first, build when that fails
	Anew        bool                   // Pull, Build: replaces an image that hosts have, and decides by that what is recreated; Provide
	Inherit     []placement.Mount      // Create: anonymous volumes to take over (Source is the engine volume name)
	ShareWith   map[string]string      // Create: service → container name whose namespace or volumes it uses
	Replaces    string                 // Create: name of the container it replaces
	To          string                 // Rename
	Condition   placement.Condition    // Wait; Started means running
	Running     bool                   // Wait: for "up --wait": healthy if it has a health check, else running
	Optional    bool                   // failing is a warning and releases dependents (a step that never ran does not): Wait with required: false, removal of what is of no use
	Timeout     *time.Duration         // Stop, Restart; nil is the container's own
	Signal      string                 // Kill: name or number; "" is SIGKILL
	Anonymous   bool                   // Remove
	Plain       bool                   // RemoveNetwork on a cluster: a network that no agent knows
	Spare       bool                   // RemoveNetwork, RemoveVolume, RemoveImage: what something else uses stays, with a warning
	OneOff      *OneOff                // Create: of a one-off; nil for tasks
	Hosts       []string               // Publish

	// Record is, of Create on a cluster, what else the container is to say of itself; without Endpoints.
	Record placement.ContainerRecord
}

// Change is one store transaction.
type Change struct {
	// Revision is the store revision the plan was made from; the executor refuses to apply the change when a key
	// that the plan read has changed since, and the command observes and plans again.
	Revision     int64
	Networks     []placement.Network // to put
	Endpoints    []placement.Endpoint
	Tasks        map[placement.Task]placement.TaskRecord
	Pins         map[string]string // engine volume name → host
	Ports        []placement.PortRecord
	DropPorts    []placement.PortRecord
	DropNetworks []string // engine network names
	DropEndpoint []placement.Endpoint
	DropTasks    []placement.Task
	DropPins     []string
}

// Empty reports whether there is nothing to write.
func (c *Change) Empty() bool {
	return c == nil || len(c.Networks)+len(c.Endpoints)+len(c.Tasks)+len(c.Pins)+len(c.Ports)+len(c.DropPorts)+
		len(c.DropNetworks)+len(c.DropEndpoint)+len(c.DropTasks)+len(c.DropPins) == 0
}

// Plan is what a command is going to do: a graph of steps.
type Plan struct {
	Project string
	Command string // that it is for, which errors begin with
	Cluster bool   // hosts are named in the text
	Steps   []Step
	Change  *Change // applied by the Record step; nil without one
	Forget  *Change // applied by the Forget step; nil without one

	Unplaced []Unplaced // tasks that no host admits; with any, only a --partial plan has steps
	// Warnings are sentences for the user that do not stop the command: orphans, hosts that did not answer.
	Warnings []string
	// Differing are volumes that exist and are not as the file says, to ask the user about: see UpOptions.RenewVolumes.
	Differing []DifferingVolume
	// Explanations are what UpOptions.Explain asked for.
	Explanations []Explanation
	// Running names containers that stay as they are, for progress ("Container x Running").
	Running []placement.Container
	// Stopped names those that a stop finds stopped already ("Container x Stopped").
	Stopped []placement.Container
	// Failures are sentences about tasks that could not be dealt with (their host is unreachable); the rest of the
	// plan goes on, and the exit code is not zero.
	Failures []string
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Steps) == 0 }

// DifferingVolume is a volume by its engine name, and the hosts where it differs from the file.
type DifferingVolume struct {
	Name  string
	Hosts []string // in inventory order
}

// Unplaced is a task without a host, and why.
type Unplaced struct {
	Task placement.Task
	placement.Refusal
}

// Reason is why one host refuses a task: a sentence without the host's name.
type Reason = placement.Reason

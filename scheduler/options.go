package scheduler

import (
	"fmt"
	"strings"
	"time"

	"berth/placement"
)

// UpOptions say what `up` is asked to do. The zero value is plain `up`.
type UpOptions struct {
	Command            string   // that it is for, which errors begin with; "" is up
	Services           []string // selected services; empty is all. Their dependencies come along unless NoDeps.
	NoDeps             bool
	ForceRecreate      bool // recreate the selected services' containers in any case
	NoRecreate         bool // recreate none
	AlwaysRecreateDeps bool // recreate the containers of dependencies that come along
	RemoveOrphans      bool
	IgnoreOrphans      bool     // no warning about orphans
	RenewAnonVolumes   bool     // recreate with fresh anonymous volumes
	NoStart            bool     // create only
	AllResources       bool     // on one host, make the networks and volumes that no service uses, too
	Partial            bool     // place what can be placed instead of nothing
	Explain            []string // services of which Plan.Explanations are to tell how their hosts were chosen
	Wait               bool     // end with waiting until all tasks run or are healthy
	// RenewVolumes has the user's answer for volumes that are not as the file says, by engine name: true makes them anew,
	// without their data, and the containers that mount them. Those without an answer stay and are in Plan.Differing.
	RenewVolumes map[string]bool

	Timeout *time.Duration // of stops; nil is each container's own
}

// DownOptions say what `down` is asked to do.
type DownOptions struct {
	Services      []string // only these, as docker compose does it; empty is all
	Volumes       bool     // named volumes of the project and anonymous ones too
	RemoveOrphans bool     // containers of services that the file does not have, and one-off containers
	Images        Images   // images of the services that go too
	Timeout       *time.Duration
}

// Images says which images `down` removes.
type Images string

// The values of --rmi; "" removes none.
const (
	LocalImages Images = "local" // those without a name of their own in the file: <project>-<service>
	AllImages   Images = "all"   // all that the services use
)

// UnplacedError says that tasks have no host, and that therefore nothing was touched, or with Partial all else was done.
type UnplacedError struct {
	Project  string
	Command  string // that asked for them
	Unplaced []Unplaced
	Partial  bool
}

// Error names each task (tasks refused for the same reasons together) and, a line a host, why it was refused there.
func (e *UnplacedError) Error() string {
	var b strings.Builder
	for i := 0; i < len(e.Unplaced); {
		reasons := refusal(&e.Unplaced[i].Refusal)
		names := []string{e.Unplaced[i].Task.String()}
		for i++; i < len(e.Unplaced) && refusal(&e.Unplaced[i].Refusal) == reasons; i++ {
			names = append(names, e.Unplaced[i].Task.String())
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %s cannot be placed:%s", e.Command, shorten(names), reasons)
	}
	switch {
	case e.Partial:
		b.WriteString("\nthe rest was started; make room and run the same command again")
	case e.Command == "run" || e.Command == "watch": // they have no --partial
		b.WriteString("\nnothing was changed; make room and run the same command again")
	default:
		b.WriteString("\nnothing was changed; make room, or start the rest with --partial")
	}
	return b.String()
}

// refusal writes why nobody takes a task: a line a host, how many hosts have which reason, and what would help.
func refusal(r *placement.Refusal) string {
	var b strings.Builder
	b.WriteString(Reasons(r.Reasons))
	if len(r.Counts) > 1 || len(r.Reasons) > 3 { // else the lines above say it
		var counts []string
		for _, c := range r.Counts {
			counts = append(counts, fmt.Sprintf("%d × %s", c.Hosts, c.Kind))
		}
		fmt.Fprintf(&b, "\n  of %d hosts: %s", len(r.Reasons), strings.Join(counts, ", "))
	}
	if len(r.Nearest) > 0 {
		fmt.Fprintf(&b, "\n  nearest: %s", strings.Join(r.Nearest, "; "))
	}
	return b.String()
}

// manyHosts is how many hosts are listed one by one.
const manyHosts = 20

// Reasons writes reasons a line a host, each line after a newline and two spaces.
func Reasons(reasons []Reason) string {
	var b strings.Builder
	for i, r := range reasons {
		if i == manyHosts {
			fmt.Fprintf(&b, "\n  and %d more hosts", len(reasons)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s: %s", r.Host, r.Text)
	}
	if len(reasons) == 0 {
		b.WriteString("\n  there is no host")
	}
	return b.String()
}

// shorten lists names, the first few when there are many.
func shorten(names []string) string {
	const many = 6
	if len(names) > many {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:many], ", "), len(names)-many)
	}
	return strings.Join(names, ", ")
}

package table

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/text/width"

	"berth/placement"
)

// The compose labels that ps shows.
const (
	projectLabel = "com.docker.compose.project"
	serviceLabel = "com.docker.compose.service"
)

// row is a container as templates see it: its methods are the fields of compose's ps (cmd/formatter/container.go).
type row struct {
	c *placement.Container
	o *PSOptions
}

// MarshalJSON gives compose's object: the methods below by name, sorted.
func (r *row) MarshalJSON() ([]byte, error) {
	host := ""
	if r.o.Cluster {
		host = r.c.Host
	}
	return json.Marshal(struct {
		Command      string
		CreatedAt    string
		ExitCode     int
		Health       string
		Host         string `json:",omitempty"`
		ID           string
		Image        string
		Labels       string
		LocalVolumes string
		Mounts       string
		Name         string
		Names        string
		Networks     string
		Ports        string
		Project      string
		Publishers   []Publisher
		RunningFor   string
		Service      string
		Size         string
		State        string
		Status       string
	}{
		r.Command(), r.CreatedAt(), r.ExitCode(), r.Health(), host, r.ID(), r.Image(), r.Labels(), r.LocalVolumes(),
		r.Mounts(), r.Name(), r.Names(), r.Networks(), r.Ports(), r.Project(), r.Publishers(), r.RunningFor(),
		r.Service(), r.Size(), r.State(), r.Status(),
	})
}

// ID is 12 characters, or the full ID with --no-trunc.
func (r *row) ID() string {
	if !r.o.NoTrunc && len(r.c.ID) > 12 {
		return r.c.ID[:12]
	}
	return r.c.ID
}

func (r *row) Name() string  { return r.c.Name }
func (r *row) Names() string { return r.c.Name }

// Host is the engine's name in the inventory.
func (r *row) Host() string { return r.c.Host }

func (r *row) Image() string   { return r.c.Image }
func (r *row) Project() string { return r.c.Labels[projectLabel] }

func (r *row) Service() string {
	if s := r.c.Labels[serviceLabel]; s != "" {
		return s
	}
	return r.c.Task.Service
}

// Command is quoted, and cut to 20 cells without --no-trunc.
func (r *row) Command() string {
	c := r.c.Command
	if !r.o.NoTrunc {
		c = ellipsis(c, 20)
	}
	return strconv.Quote(c)
}

func (r *row) CreatedAt() string {
	return time.Unix(r.c.Created.Unix(), 0).In(r.o.Now.Location()).String()
}

func (r *row) RunningFor() string {
	return units.HumanDuration(r.o.Now.Sub(r.c.Created)) + " ago"
}

func (r *row) State() string { return r.c.State }

// Status is the engine's text; the state alone where there is none.
func (r *row) Status() string {
	if r.c.Status == "" {
		return r.c.State
	}
	return r.c.Status
}

// Health is that of a running container only, as in compose.
func (r *row) Health() string {
	if r.c.State != "running" {
		return ""
	}
	return r.c.Health
}

// ExitCode is that of a container that has ended, else 0.
func (r *row) ExitCode() int {
	if r.c.State != "exited" && r.c.State != "dead" {
		return 0
	}
	return r.c.ExitCode
}

// Publishers are the ports as programs want them, never nil.
func (r *row) Publishers() []Publisher {
	return publishers(slices.Concat(withoutIngress(r.c.Ports, r.c.Ingress), r.c.Ingress))
}

// Ports is the docker command line's text; on a cluster with the host's address in place of "all addresses". Ports in mode
// ingress, which all hosts answer while the container runs, come first.
func (r *row) Ports() string {
	own := portsText(reachable(withoutIngress(r.c.Ports, r.c.Ingress), r.o.Addresses[r.c.Host]))
	if len(r.c.Ingress) == 0 || r.c.State != "running" {
		return own
	}
	texts := ingressText(r.c.Ingress)
	if own != "" {
		texts = append(texts, own)
	}
	return strings.Join(texts, ", ")
}

// Labels is "k=v,k=v", sorted.
func (r *row) Labels() string { return labelsText(r.c.Labels) }

// Label is the value of one label, "" without it.
func (r *row) Label(name string) string { return r.c.Labels[name] }

// Mounts are the names of volumes and the paths of binds, each cut to 15 cells without --no-trunc.
func (r *row) Mounts() string {
	var names []string
	for _, m := range r.c.Mounts {
		name := m.Source
		if !r.o.NoTrunc {
			name = ellipsis(name, 15)
		}
		names = append(names, name)
	}
	return strings.Join(names, ",")
}

// LocalVolumes is the number of volumes.
func (r *row) LocalVolumes() string {
	n := 0
	for _, m := range r.c.Mounts {
		if m.Type == "volume" {
			n++
		}
	}
	return strconv.Itoa(n)
}

func (r *row) Networks() string {
	var names []string
	for n := range r.c.Networks {
		names = append(names, n)
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// Size is always "0B": ps does not ask the engines for sizes, and neither does compose's.
func (r *row) Size() string { return units.HumanSizeWithPrecision(0, 3) }

// labelsText is "k=v,k=v", sorted.
func labelsText(labels map[string]string) string {
	var all []string
	for k, v := range labels {
		all = append(all, k+"="+v)
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// ellipsis cuts s to n cells, the last of them "…", by the docker command line's rule (formatter.Ellipsis).
func ellipsis(s string, n int) string {
	used, fit := 0, 0
	for i, r := range s {
		w := 1
		switch width.LookupRune(r).Kind() {
		case width.EastAsianWide, width.EastAsianFullwidth:
			w = 2
		}
		if used+w <= n-1 {
			fit = i + len(string(r))
		}
		if used += w; used > n {
			return s[:fit] + "…"
		}
	}
	return s
}

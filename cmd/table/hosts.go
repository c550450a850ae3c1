package table

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"berth/placement"
)

// HostRow is what hosts says about one host.
type HostRow struct {
	Host     placement.Host        // as observed; Capacity is what tasks may reserve
	Reserved placement.Reservation // held by all running containers there, of every project
	Tasks    int                   // containers of tasks that run there
	Agent    string                // "ready", "missing", "lost" …; "" without a cluster
}

const hostsTable = "table {{.Host}}\t{{.State}}\t{{.Engine}}\t{{.CPU}}\t{{.Memory}}\t{{.Tasks}}\t{{.Labels}}"

var hostsTitles = header{
	"Host": "HOST", "Address": "ADDRESS", "IP": "IP", "State": "STATE", "Agent": "AGENT", "Engine": "ENGINE",
	"Availability": "AVAILABILITY", "Platform": "PLATFORM", "CPU": "CPU", "Memory": "MEMORY", "Tasks": "TASKS", "Labels": "LABELS",
}

// Hosts writes the rows in the order given (the inventory's), in the formats of PS.
func Hosts(w io.Writer, rows []HostRow, format string) error {
	if format == "" || format == Table {
		format = hostsTable
	}
	shown := make([]*hostRow, len(rows))
	for i := range rows {
		shown[i] = &hostRow{&rows[i]}
	}
	return render(w, format, hostsTitles, shown)
}

// hostRow is a host as templates see it.
type hostRow struct{ r *HostRow }

// MarshalJSON has plain numbers where the table has text: CPU in millicores, memory in bytes.
func (h *hostRow) MarshalJSON() ([]byte, error) {
	type amounts struct{ CPU, Memory int64 }
	labels := h.r.Host.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return json.Marshal(struct {
		Host               string
		Address            string
		IP                 string `json:",omitempty"`
		State              placement.HostState
		Availability       placement.Availability
		Problem            string `json:",omitempty"`
		Agent              string `json:",omitempty"`
		Engine             string
		EngineID           string
		Platform           string
		Capacity, Reserved amounts
		Tasks              int
		Labels             map[string]string
	}{
		h.Host(), h.Address(), h.IP(), h.r.Host.State, h.Availability(), h.r.Host.Problem, h.Agent(), h.r.Host.Version, h.r.Host.EngineID,
		h.Platform(), amounts(h.r.Host.Capacity), amounts(h.r.Reserved), h.r.Tasks, labels,
	})
}

func (h *hostRow) Host() string    { return h.r.Host.Name }
func (h *hostRow) Address() string { return h.r.Host.Address }
func (h *hostRow) IP() string      { return h.r.Host.IP }
func (h *hostRow) Agent() string   { return h.r.Agent }
func (h *hostRow) Tasks() int      { return h.r.Tasks }

// Engine is the engine's version; "-" when the host did not say.
func (h *hostRow) Engine() string { return cmp.Or(h.r.Host.Version, "-") }

// Availability is "active", "pause" or "drain".
func (h *hostRow) Availability() placement.Availability {
	return cmp.Or(h.r.Host.Availability, placement.Active)
}

// State is "ready", "unreachable: reason", and says when the host is not active and what the agent is when it is not
// ready itself.
func (h *hostRow) State() string {
	s := string(h.r.Host.State)
	if a := h.Availability(); a != placement.Active {
		s += ", " + string(a)
	}
	if h.r.Host.Problem != "" {
		s += ": " + strings.Join(strings.Fields(h.r.Host.Problem), " ")
	}
	if h.r.Agent != "" && h.r.Agent != string(placement.Ready) {
		s += fmt.Sprintf(" (agent %s)", h.r.Agent)
	}
	return s
}

// Platform is "linux/amd64", "" when unknown.
func (h *hostRow) Platform() string {
	return strings.Trim(h.r.Host.OS+"/"+h.r.Host.Arch, "/")
}

// CPU is "reserved/capacity" in cores: "1.5/4"; "-" when the host did not say.
func (h *hostRow) CPU() string {
	if h.r.Host.Capacity.CPU == 0 {
		return "-"
	}
	return cores(h.r.Reserved.CPU) + "/" + cores(h.r.Host.Capacity.CPU)
}

// Memory is "reserved/capacity": "512MiB/4GiB"; "-" when the host did not say.
func (h *hostRow) Memory() string {
	if h.r.Host.Capacity.Memory == 0 {
		return "-"
	}
	return units.BytesSize(float64(h.r.Reserved.Memory)) + "/" + units.BytesSize(float64(h.r.Host.Capacity.Memory))
}

// Labels is "k=v,k=v", sorted.
func (h *hostRow) Labels() string { return labelsText(h.r.Host.Labels) }

// Label is the value of one label, "" without it.
func (h *hostRow) Label(name string) string { return h.r.Host.Labels[name] }

// cores turns millicores into cores without trailing zeros: 1500 is "1.5".
func cores(millicores int64) string {
	return strconv.FormatFloat(float64(millicores)/1000, 'f', -1, 64)
}

package table

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/docker/go-units"
)

// UsageRow is what stats says about one container. Amounts are bytes.
type UsageRow struct {
	ID, Name, Host           string
	Known                    bool    // false: nothing has been heard of it yet, or no more
	CPU, MemoryPercent       float64 // percent; CPU of one core
	Memory, MemoryLimit      uint64
	NetworkRead, NetworkSent uint64
	BlockRead, BlockWritten  uint64
	Processes                uint64
}

// UsageOptions are the flags of stats.
type UsageOptions struct {
	Format  string // as in PSOptions; templates see the fields of docker's stats and Host
	NoTrunc bool   // whole IDs
	Cluster bool   // a HOST column, and Host in the JSON
}

const (
	usageColumns = "{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"
	usageTable   = "table {{.ID}}\t{{.Name}}\t" + usageColumns
	usageCluster = "table {{.ID}}\t{{.Name}}\t{{.Host}}\t" + usageColumns
)

var usageTitles = header{
	"Container": "CONTAINER", "ID": "CONTAINER ID", "Name": "NAME", "Host": "HOST", "CPUPerc": "CPU %",
	"MemUsage": "MEM USAGE / LIMIT", "MemPerc": "MEM %", "NetIO": "NET I/O", "BlockIO": "BLOCK I/O", "PIDs": "PIDS",
}

// Usage writes the rows in the order given.
func Usage(w io.Writer, rows []UsageRow, o UsageOptions) error {
	if o.Format == "" || o.Format == Table {
		if o.Format = usageTable; o.Cluster {
			o.Format = usageCluster
		}
	}
	shown := make([]*usageRow, len(rows))
	for i := range rows {
		shown[i] = &usageRow{&rows[i], &o}
	}
	return render(w, o.Format, usageTitles, shown)
}

// usageRow is a container as templates see it.
type usageRow struct {
	r *UsageRow
	o *UsageOptions
}

// MarshalJSON gives docker's object: the methods below by name, sorted.
func (u *usageRow) MarshalJSON() ([]byte, error) {
	host := ""
	if u.o.Cluster {
		host = u.r.Host
	}
	return json.Marshal(struct {
		BlockIO   string
		CPUPerc   string
		Container string
		Host      string `json:",omitempty"`
		ID        string
		MemPerc   string
		MemUsage  string
		Name      string
		NetIO     string
		PIDs      string
	}{u.BlockIO(), u.CPUPerc(), u.Container(), host, u.ID(), u.MemPerc(), u.MemUsage(), u.Name(), u.NetIO(), u.PIDs()})
}

// Container is the full ID.
func (u *usageRow) Container() string { return u.r.ID }

// ID is 12 characters, or the full ID with --no-trunc.
func (u *usageRow) ID() string {
	if u.o.NoTrunc {
		return u.r.ID
	}
	return shortID(u.r.ID)
}

func (u *usageRow) Name() string { return u.r.Name }
func (u *usageRow) Host() string { return u.r.Host }

func (u *usageRow) CPUPerc() string { return u.known(percent(u.r.CPU)) }
func (u *usageRow) MemPerc() string { return u.known(percent(u.r.MemoryPercent)) }
func (u *usageRow) NetIO() string   { return u.known(transfer(u.r.NetworkRead, u.r.NetworkSent)) }
func (u *usageRow) BlockIO() string { return u.known(transfer(u.r.BlockRead, u.r.BlockWritten)) }
func (u *usageRow) PIDs() string    { return u.known(strconv.FormatUint(u.r.Processes, 10)) }

// MemUsage is "used / limit" in binary units.
func (u *usageRow) MemUsage() string {
	if !u.r.Known {
		return "-- / --"
	}
	return units.BytesSize(float64(u.r.Memory)) + " / " + units.BytesSize(float64(u.r.MemoryLimit))
}

// known is the text, or the docker command line's mark for what is not known.
func (u *usageRow) known(text string) string {
	if !u.r.Known {
		return "--"
	}
	return text
}

func percent(p float64) string { return fmt.Sprintf("%.2f%%", p) }

// transfer is "in / out" in decimal units.
func transfer(in, out uint64) string {
	return units.HumanSizeWithPrecision(float64(in), 3) + " / " + units.HumanSizeWithPrecision(float64(out), 3)
}

// shortID is the first 12 characters of an ID, without what names its hash.
func shortID(id string) string {
	_, id = cutHash(id)
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

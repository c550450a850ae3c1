package table

import (
	"encoding/json"
	"io"
)

// VolumeRow is one volume on one host.
type VolumeRow struct {
	Name, Driver, Scope, Mountpoint, Host string
	Labels                                map[string]string
}

// VolumeOptions are the flags of volumes.
type VolumeOptions struct {
	Format  string // as in PSOptions; templates see the fields of docker's volumes and Host
	Quiet   bool   // names only
	Cluster bool   // a HOST column, and Host in the JSON
}

const (
	volumeTable   = "table {{.Driver}}\t{{.Name}}"
	volumeCluster = "table {{.Driver}}\t{{.Name}}\t{{.Host}}"
	volumeRaw     = "name: {{.Name}}\ndriver: {{.Driver}}\n"
)

var volumeTitles = header{
	"Name": "VOLUME NAME", "Driver": "DRIVER", "Scope": "SCOPE", "Mountpoint": "MOUNTPOINT", "Host": "HOST", "Labels": "LABELS",
	"Links": "LINKS", "Size": "SIZE", "Availability": "AVAILABILITY", "Group": "GROUP", "Status": "STATUS",
}

// Volumes writes the rows in the order given.
func Volumes(w io.Writer, rows []VolumeRow, o VolumeOptions) error {
	if o.Quiet {
		names := make([]string, len(rows))
		for i := range rows {
			names[i] = rows[i].Name
		}
		return writeLines(w, names)
	}
	switch o.Format {
	case "", Table:
		if o.Format = volumeTable; o.Cluster {
			o.Format = volumeCluster
		}
	case Raw:
		o.Format = volumeRaw
	}
	shown := make([]*volumeRow, len(rows))
	for i := range rows {
		shown[i] = &volumeRow{&rows[i], o.Cluster}
	}
	return render(w, o.Format, volumeTitles, shown)
}

// volumeRow is a volume as templates see it: the fields of docker's volume list.
type volumeRow struct {
	r       *VolumeRow
	cluster bool
}

// notAvailable is what docker shows for what a list of volumes does not tell.
const notAvailable = "N/A"

// MarshalJSON gives docker's object: the methods below by name, sorted.
func (v *volumeRow) MarshalJSON() ([]byte, error) {
	host := ""
	if v.cluster {
		host = v.r.Host
	}
	return json.Marshal(struct {
		Availability string
		Driver       string
		Group        string
		Host         string `json:",omitempty"`
		Labels       string
		Links        string
		Mountpoint   string
		Name         string
		Scope        string
		Size         string
		Status       string
	}{
		v.Availability(), v.Driver(), v.Group(), host, v.Labels(), v.Links(), v.Mountpoint(), v.Name(), v.Scope(), v.Size(),
		v.Status(),
	})
}

func (v *volumeRow) Name() string         { return v.r.Name }
func (v *volumeRow) Driver() string       { return v.r.Driver }
func (v *volumeRow) Scope() string        { return v.r.Scope }
func (v *volumeRow) Mountpoint() string   { return v.r.Mountpoint }
func (v *volumeRow) Host() string         { return v.r.Host }
func (v *volumeRow) Links() string        { return notAvailable }
func (v *volumeRow) Size() string         { return notAvailable }
func (v *volumeRow) Availability() string { return notAvailable }
func (v *volumeRow) Group() string        { return notAvailable }
func (v *volumeRow) Status() string       { return notAvailable }

// Labels is "k=v,k=v", sorted.
func (v *volumeRow) Labels() string { return labelsText(v.r.Labels) }

// Label is the value of one label, "" without it.
func (v *volumeRow) Label(name string) string { return v.r.Labels[name] }

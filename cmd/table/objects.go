package table

import (
	"encoding/json"
	"io"
	"time"

	"github.com/docker/go-units"
)

// ObjectRow is what `secret ls` says about one external secret or config.
type ObjectRow struct {
	Name    string
	Created time.Time
	Labels  map[string]string
}

const objectsTable = "table {{.Name}}\t{{.CreatedAt}}"

var objectsTitles = header{"Name": "NAME", "CreatedAt": "CREATED", "Labels": "LABELS"}

// Objects writes the rows in the order given, in the formats of PS.
func Objects(w io.Writer, rows []ObjectRow, format string) error {
	if format == "" || format == Table {
		format = objectsTable
	}
	shown := make([]objectRow, len(rows))
	for i := range rows {
		shown[i] = objectRow{&rows[i]}
	}
	return render(w, format, objectsTitles, shown)
}

// objectRow is an object as templates see it.
type objectRow struct{ r *ObjectRow }

// Name is the object's name.
func (o objectRow) Name() string { return o.r.Name }

// CreatedAt is how long ago it was made: "2 hours ago".
func (o objectRow) CreatedAt() string { return units.HumanDuration(time.Since(o.r.Created)) + " ago" }

// Labels are key=value, sorted, joined by commas.
func (o objectRow) Labels() string { return labelsText(o.r.Labels) }

// Label is the value of one label.
func (o objectRow) Label(name string) string { return o.r.Labels[name] }

// MarshalJSON has the time instead of the distance.
func (o objectRow) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct{ Name, CreatedAt, Labels string }{o.r.Name, o.r.Created.Format(time.RFC3339), o.Labels()})
}

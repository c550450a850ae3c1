package table

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// EventRow is something that happened to a container.
type EventRow struct {
	Time        time.Time
	Action      string // "start", "die", "exec_start: sh -c true" …
	ID, Service string
	Host        string            // "" on one host
	Attributes  map[string]string // image, name, the user's labels …
}

// Event is the event as one line, without its end: docker compose's text, in o's time zone, or its JSON object.
func Event(e EventRow, asJSON bool, zone *time.Location) []byte {
	if asJSON {
		attributes := e.Attributes
		if attributes == nil {
			attributes = map[string]string{}
		}
		text, err := json.Marshal(struct {
			Action     string            `json:"action"`
			Attributes map[string]string `json:"attributes"`
			Host       string            `json:"host,omitempty"`
			ID         string            `json:"id"`
			Service    string            `json:"service"`
			Time       time.Time         `json:"time"`
			Type       string            `json:"type"`
		}{e.Action, attributes, e.Host, e.ID, e.Service, e.Time.UTC(), "container"})
		if err != nil {
			return nil // these types always marshal
		}
		return text
	}
	var b strings.Builder
	b.WriteString(e.Time.In(zone).Format("2006-01-02 15:04:05.000000"))
	if e.Host != "" {
		b.WriteString(" " + e.Host)
	}
	b.WriteString(" container " + e.Action + " " + e.ID + " (")
	for i, k := range slices.Sorted(maps.Keys(e.Attributes)) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(k + "=" + e.Attributes[k])
	}
	b.WriteString(")")
	return []byte(b.String())
}

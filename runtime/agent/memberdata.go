package agent

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"

	"berth/runtime/store"
	"berth/runtime/store/embedded"
)

// MemberData is what this host has of the embedded store, as the command line asks for it when the store does not answer.
type MemberData struct {
	ID        string `json:"id,omitempty"`    // of the member, hexadecimal digits; "" when its data is not here
	Committed uint64 `json:"committed"`       // see embedded.Data
	Began     bool   `json:"began,omitempty"` // it has served: without data, it has lost it
	// Problem is why the member cannot run now; "" when it can.
	Problem string `json:"problem,omitempty"`
}

// PrintMember writes the MemberData of this host as JSON: the command line runs it by an exec in the agent's container.
func PrintMember(w io.Writer) error {
	c, err := ReadConfig(ConfigFile)
	if err != nil {
		return err
	}
	var out MemberData
	if c.Store.Member != nil {
		folder := c.Store.Member.folder(DataDir)
		data, err := embedded.Read(folder)
		if err != nil && !errors.Is(err, embedded.ErrDataGone) {
			return err
		}
		out = MemberData{ID: data.ID, Committed: data.Committed, Began: c.Store.Member.Began, Problem: noRoom(folder)}
	}
	return json.NewEncoder(w).Encode(out)
}

// folder is where the member's data is; base is that of one that the cluster began with.
func (m Member) folder(base string) string {
	if m.ID == "" {
		return base
	}
	return base + "-" + m.ID
}

// first is what is put before anybody is served.
func (m Member) first() []store.Put {
	var puts []store.Put
	for _, key := range slices.Sorted(maps.Keys(m.First)) {
		puts = append(puts, store.Put{Key: key, Value: []byte(m.First[key])})
	}
	return puts
}

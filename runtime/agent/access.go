package agent

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"berth/runtime/identity"
	"berth/runtime/ledger"
)

// Access is what the command line needs to reach the store: endpoints and, for the embedded store, a client
// certificate under the cluster's CA. It lies on the store members (AccessFile) and, cached, on the user's machine.
type Access struct {
	Cluster   string   `json:"cluster"`   // cluster ID
	Endpoints []string `json:"endpoints"` // https://addr:port of members, or the external store's URL
	Members   []string `json:"members"`   // hosts that run the embedded store, in the order of Endpoints; empty with an external one
	Peers     []string `json:"peers"`     // the members' peer URLs, same order
	CA        []byte   `json:"ca,omitempty"`
	Cert      []byte   `json:"cert,omitempty"`
	Key       []byte   `json:"key,omitempty"`
	Seal      []byte   `json:"seal,omitempty"` // the cluster's key for what lies sealed in the store; see cluster/seal.go
	// Recovered counts how often the store has gone on with one member when the others were lost: where hosts differ, the
	// highest is right.
	Recovered int `json:"recovered,omitempty"`
	// Moved is where the cluster's store is now, when it was moved away from here; "" else.
	Moved string `json:"moved,omitempty"`
}

// Follow takes the members over from the store's record, those that serve. It reports whether that changed anything.
func (a *Access) Follow(m ledger.Membership) bool {
	voters := m.Voters()
	same := len(voters) == len(a.Members) && len(a.Members) == len(a.Endpoints)
	for i := 0; same && i < len(voters); i++ {
		same = voters[i].Host == a.Members[i] && voters[i].Client == a.Endpoints[i]
	}
	if same || len(voters) == 0 {
		return false
	}
	a.Members, a.Endpoints, a.Peers = nil, nil, nil
	for _, v := range voters {
		a.Members, a.Endpoints, a.Peers = append(a.Members, v.Host), append(a.Endpoints, v.Client), append(a.Peers, v.Peer)
	}
	return true
}

// changeAccess rewrites the access file of a store member if change changes it; none is no error.
func changeAccess(path string, change func(*Access) (bool, error)) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || path == "" {
		return nil
	}
	var a Access
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil {
		return err
	}
	changed, err := change(&a)
	if err != nil || !changed {
		return err
	}
	if b, err = json.Marshal(a); err != nil {
		return err
	}
	return identity.Replace(path, b)
}

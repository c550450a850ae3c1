package ledger

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
)

// EpochKey holds the Epoch, ClusterKey the cluster's ID: agents and commands of another cluster keep out.
const (
	EpochKey   = Root + "epoch"
	ClusterKey = Root + "cluster"
)

// Epoch is one life of the store. Agents remember which one they know: in another, or one that has gone back to an older
// revision, the store may not know what runs on their hosts, and they tell it (see Rebuild).
type Epoch struct {
	ID string `json:"id"`
	// Lost says that the store has lost what it knew, or some of it: until a host has told what runs on it, in this epoch,
	// no address is given out that it may have.
	Lost bool `json:"lost,omitempty"`
	// Restoring is set while a backup is being restored in several transactions: where it comes from, for the sentence
	// about one that was interrupted.
	Restoring string `json:"restoring,omitempty"`
	// Moved is where the store's content went: a store that says so is not to be used any more.
	Moved string `json:"moved,omitempty"`
}

// NewEpoch begins an epoch.
func NewEpoch(lost bool) Epoch {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	return Epoch{ID: hex.EncodeToString(b[:]), Lost: lost}
}

// Told reports whether a host has told what runs on it, in the store's epoch.
func (v *View) Told(host string) bool { return v.Epoch.ID != "" && v.Hosts[host].Epoch == v.Epoch.ID }

// Untold lists those of the hosts, sorted, of which a store that has lost something does not know what runs there.
func (v *View) Untold(hosts []string) []string {
	if v.Epoch.ID != "" && !v.Epoch.Lost {
		return nil
	}
	out := slices.DeleteFunc(slices.Clone(hosts), v.Told)
	slices.Sort(out)
	return out
}

package journal

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// format is the version of everything below. A client leaves a store of a later one alone.
const format = 1

// Sizes. Consul takes values of 512 KiB, and transactions of as much after base64; ZooKeeper takes requests of 1 MiB.
const (
	maxInline = 256 << 10 // bytes of a record in one value
	maxInHead = 4 << 10   // bytes of a record that the head has a copy of
	maxPart   = 480 << 10 // bytes of a part of a blob
	maxTxn    = 10 << 20  // bytes of a transaction, as with the embedded store
)

// head is the content of the value that every revision changes: what a client that knows nothing needs to begin.
type head struct {
	Format   int    `json:"format"`
	Store    string `json:"store"`    // made with the store, so that one made anew is not taken for the old one
	Revision int64  `json:"revision"` // the last; its record is the last of the log
	Last     string `json:"last"`     // that record's ID
	Base     base   `json:"base"`
	Oldest   int64  `json:"oldest"` // the first revision whose record is kept
	// Record is the last record, if it is small: who follows the head then has nothing more to read.
	Record json.RawMessage `json:"record,omitempty"`
}

// base is the state at a revision, from which the log goes on.
type base struct {
	Revision int64 `json:"revision"`
	Blob     *blob `json:"blob,omitempty"` // of a snapshot; nil: the state is empty
}

// blob is content in parts.
type blob struct {
	Name  string `json:"name"` // under Blobs, without the part's number
	Parts int    `json:"parts"`
	Size  int    `json:"size"` // bytes
}

// record is what one revision changed. It says all that its events need, so that history can be read without the
// state that it began with.
type record struct {
	ID   string `json:"id"`   // of the commit, random
	Prev string `json:"prev"` // ID of the record before: a log that was restored from a backup and went on differs in it
	Body *body  `json:"body,omitempty"`
	Blob *blob  `json:"blob,omitempty"` // holds the body, when it is large

	Created map[int]int64 `json:"created,omitempty"` // by index in Body.Puts: the revision that made a key that was there
	Absent  []int         `json:"absent,omitempty"`  // indexes in Body.Deletes of keys that were not there
	Granted int64         `json:"granted,omitempty"` // a lease
	Ended   int64         `json:"ended,omitempty"`   // a lease; its keys are among the deletes
}

// body is the part of a record that does not depend on the revision before.
type body struct {
	Puts    []put    `json:"puts,omitempty"`
	Deletes []string `json:"deletes,omitempty"`
}

type put struct {
	Key   string `json:"k"`
	Value []byte `json:"v,omitempty"`
	Lease int64  `json:"l,omitempty"`
}

// snapshot is a state as a blob holds it.
type snapshot struct {
	Last   string  `json:"last"` // ID of the last record in it
	Leases []int64 `json:"leases,omitempty"`
	Pairs  []saved `json:"pairs"`
}

type saved struct {
	put
	Created  int64 `json:"c"`
	Modified int64 `json:"m"`
}

func newID() string { return rand.Text()[:16] }

func recordName(revision int64) string { return fmt.Sprintf("%s/%020d", Log, revision) }

func partName(name string, part int) string { return fmt.Sprintf("%s/%s-%d", Blobs, name, part) }

// revisionOf reads the revision that a name under Log or Blobs begins with; 0 when it is not one of ours.
func revisionOf(name string) int64 {
	digits, _, _ := strings.Cut(name, "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || len(digits) != 20 {
		return 0
	}
	return n
}

func decodeHead(h Head) (head, error) {
	var out head
	if h.Version == Absent {
		return out, nil
	}
	if err := json.Unmarshal(h.Value, &out); err != nil || out.Format == 0 {
		return out, refused("what lies at %s is no berth store; give the store a path of its own in hosts.yml", HeadName)
	}
	if out.Format > format {
		return out, refused("it was written by a newer berth (format %d); use that one", out.Format)
	}
	return out, nil
}

func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode a record: %w", err)
	}
	return b, nil
}

package ledger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"berth/runtime/store"
)

// A backup is text, a JSON object a line, so that people and programs can read it:
//
//	{"berth":"backup","version":1,"cluster":"…","revision":42,"taken":"2026-11-22T07:00:00Z","keys":2}
//	{"key":"berth/networks/shop_default","value":"{…}"}
//	{"key":"berth/secrets/token","value":"{…}"}
//	{"sha256":"…"}
//
// The keys are sorted and of one revision. A value that is no UTF-8 text stands, in base64, under "bytes" instead. The sum
// is that of all bytes before its line. Left out is what its writer says again by itself (see Kept).

// BackupVersion is that of the format.
const BackupVersion = 1

// Backup is the content of a store at one moment.
type Backup struct {
	Cluster  string // the cluster's ID
	Revision int64
	Taken    time.Time
	Pairs    []store.Pair // keys and values only, sorted by key
}

// passing are the parts of Root that no backup has: what lives under a lease, what agents say of their own hosts again and
// again, who the members of the embedded store are at the moment, and the store's bookkeeping.
var passing = []string{
	Allocation, EpochKey, ClusterKey, Root + "members",
	Hosts, Alive, Readies, States, Guests, Root + "renewals/", Answering, Withdrawn,
}

// Kept reports whether a key belongs into a backup. Keys that this version does not know do.
func Kept(key string) bool {
	for _, p := range passing {
		if key == p || strings.HasSuffix(p, "/") && strings.HasPrefix(key, p) {
			return false
		}
	}
	k := Split(key, Projects)
	return len(k) != 2 || k[1] != "lock"
}

// NewBackup is what is kept of a snapshot of Root.
func NewBackup(cluster string, s store.Snapshot, taken time.Time) Backup {
	b := Backup{Cluster: cluster, Revision: s.Revision, Taken: taken.UTC().Truncate(time.Second)}
	for _, p := range s.Pairs {
		if Kept(p.Key) {
			b.Pairs = append(b.Pairs, store.Pair{Key: p.Key, Value: p.Value})
		}
	}
	return b
}

type backupHead struct {
	Berth    string    `json:"berth"`
	Version  int       `json:"version"`
	Cluster  string    `json:"cluster"`
	Revision int64     `json:"revision"`
	Taken    time.Time `json:"taken"`
	Keys     int       `json:"keys"`
}

type backupLine struct {
	Key   string  `json:"key"`
	Value *string `json:"value,omitempty"`
	Bytes []byte  `json:"bytes,omitempty"`
}

type backupSum struct {
	SHA256 string `json:"sha256"`
}

// WriteTo writes the backup.
func (b Backup) WriteTo(w io.Writer) (int64, error) {
	var all bytes.Buffer
	line := json.NewEncoder(&all)
	line.SetEscapeHTML(false)
	if err := line.Encode(backupHead{"backup", BackupVersion, b.Cluster, b.Revision, b.Taken, len(b.Pairs)}); err != nil {
		return 0, err
	}
	for _, p := range b.Pairs {
		l := backupLine{Key: p.Key, Bytes: p.Value}
		if text := string(p.Value); utf8.ValidString(text) {
			l.Value, l.Bytes = &text, nil
		}
		if err := line.Encode(l); err != nil {
			return 0, err
		}
	}
	sum := sha256.Sum256(all.Bytes())
	if err := line.Encode(backupSum{hex.EncodeToString(sum[:])}); err != nil {
		return 0, err
	}
	return all.WriteTo(w)
}

// ReadBackup reads what WriteTo wrote, whole and unchanged.
func ReadBackup(r io.Reader) (Backup, error) {
	var b Backup
	all, err := io.ReadAll(r)
	if err != nil {
		return b, err
	}
	var head backupHead
	first, rest, _ := bytes.Cut(all, []byte("\n"))
	if json.Unmarshal(first, &head) != nil || head.Berth != "backup" {
		return b, errors.New("it is no backup of berth's store")
	}
	if head.Version != BackupVersion {
		return b, fmt.Errorf("its format is version %d, and this berth reads version %d", head.Version, BackupVersion)
	}
	at := bytes.LastIndexByte(bytes.TrimRight(all, "\n"), '\n') + 1
	var end backupSum
	if json.Unmarshal(all[at:], &end) != nil || end.SHA256 == "" {
		return b, errors.New("it is cut short")
	}
	if sum := sha256.Sum256(all[:at]); hex.EncodeToString(sum[:]) != end.SHA256 {
		return b, errors.New("it was changed since it was taken: its checksum is another")
	}
	b = Backup{Cluster: head.Cluster, Revision: head.Revision, Taken: head.Taken}
	lines := bufio.NewReader(bytes.NewReader(rest[:at-len(first)-1]))
	for range head.Keys {
		raw, err := lines.ReadBytes('\n')
		if err != nil {
			return b, fmt.Errorf("it has fewer than the %d keys that it says: %w", head.Keys, err)
		}
		var l backupLine
		if err := json.Unmarshal(raw, &l); err != nil || l.Key == "" {
			return b, fmt.Errorf("a line of it is broken: %s", raw)
		}
		if l.Value != nil {
			l.Bytes = []byte(*l.Value)
		}
		b.Pairs = append(b.Pairs, store.Pair{Key: l.Key, Value: l.Bytes})
	}
	return b, nil
}

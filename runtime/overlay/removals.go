package overlay

import (
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// removals tells the entries that somebody else deleted from those that this Overlay deletes: the kernel reports both
// alike. What is about to be deleted is remembered before the kernel is asked, because its report may come before its
// answer.
type removals struct {
	mu      sync.Mutex
	own     map[removal]int // on their way
	indexes map[int]bool    // links of the networks that stand
}

// removal names an entry.
type removal struct {
	family uint8
	index  int
	self   bool       // of the tunnel's own table, not the bridge's
	mac    MAC        // of a forwarding entry
	dst    netip.Addr // of a neighbour, or of one host's entry for broadcast
}

// removalOf reads which entry a message is about. How it names one must not depend on who speaks: the kernel reports more
// than has to be said to it.
func removalOf(body []byte) (removal, bool) {
	e, ok := parseEntry(body)
	if !ok {
		return removal{}, false
	}
	r := removal{family: body[0], index: e.index}
	if r.family == unix.AF_BRIDGE {
		r.self, r.mac = e.flags&unix.NTF_SELF != 0, e.mac
	}
	if r.family != unix.AF_BRIDGE || r.mac == (MAC{}) {
		r.dst = e.dst
	}
	return r, true
}

// expect remembers the deletions among the messages.
func (r *removals) expect(msgs []message) { r.count(msgs, 1, func(int) bool { return true }) }

// refused takes back those that the kernel did not do, for which it reports nothing.
func (r *removals) refused(msgs []message, errs []error) {
	r.count(msgs, -1, func(i int) bool { return errs[i] != nil })
}

func (r *removals) count(msgs []message, by int, which func(int) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, m := range msgs {
		if m.kind != unix.RTM_DELNEIGH || !which(i) {
			continue
		}
		if entry, ok := removalOf(m.body); ok {
			r.add(entry, by)
		}
	}
}

func (r *removals) add(entry removal, by int) {
	if r.own == nil {
		r.own = map[removal]int{}
	}
	if r.own[entry] += by; r.own[entry] <= 0 {
		delete(r.own, entry)
	}
}

// foreign reports whether the kernel tells of an entry of a network that somebody else deleted.
func (r *removals) foreign(body []byte) bool {
	entry, ok := removalOf(body)
	if !ok {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.indexes[entry.index] {
		return false
	}
	if r.own[entry] > 0 {
		r.add(entry, -1)
		return false
	}
	return true
}

// stand says which networks' entries are of interest from now on.
func (r *removals) stand(links map[uint32]ifaces) {
	indexes := make(map[int]bool, 2*len(links))
	for _, i := range links {
		indexes[i.bridge], indexes[i.tunnel.index] = true, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.indexes = indexes
}

// batch is conn.batch for entries.
func (o *Overlay) batch(msgs []message) []error {
	o.removals.expect(msgs)
	errs := o.conn.batch(msgs)
	o.removals.refused(msgs, errs)
	return errs
}

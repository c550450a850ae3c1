package placement

import "math/bits"

// How finely hosts are told apart by their load.
const (
	fullLoad   = 1 << 15 // the load of a host whose scarcer resource is all reserved
	maxLoad    = 1<<16 - 1
	noHost     = int32(-1)
	endless    = int32(1<<31 - 1) // more tasks than any host has
	shareShift = 32
)

// share turns amounts of one resource of a host into its load: what a multiplication does, and a division would do slower.
type share struct{ factor uint64 }

// shareOf prepares the share of a total; a total of 0 or less has none.
func shareOf(total int64) share {
	if total <= 0 {
		return share{}
	}
	return share{fullLoad << shareShift / uint64(total)}
}

func (s share) of(used int64) int32 {
	if used <= 0 || s.factor == 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(used), s.factor)
	if hi != 0 || lo>>shareShift > maxLoad {
		return maxLoad
	}
	return int32(lo >> shareShift)
}

// queue keeps hosts in order of load, and by inventory order where that is equal: a list for each load, and a bitmap of
// the loads that have one. A host that changes its load is taken out and put in again, in a time that depends neither
// on the number of hosts nor on that of loads.
type queue struct {
	first, last []int32 // by load: host + 1; 0 for none
	next, prev  []int32 // by host: a host, or noHost
	at          []int32 // by host: its load, -1 while it is out
	words       [(maxLoad + 1) / 64]uint64
	groups      [(maxLoad + 1) / 64 / 64]uint64 // words that are not 0
	hint        int32                           // host that came in last
}

func newQueue(hosts int) *queue {
	links := make([]int32, 3*hosts)
	ends := make([]int32, 2*(maxLoad+1))
	q := &queue{
		first: ends[:maxLoad+1], last: ends[maxLoad+1:], next: links[:hosts], prev: links[hosts : 2*hosts], at: links[2*hosts:], hint: noHost,
	}
	for h := range q.at {
		q.at[h] = -1
	}
	return q
}

// insert puts a host that is out of the queue into the list of its load, which is sorted by host.
func (q *queue) insert(host, load int32) {
	after := q.last[load] - 1
	// Hosts come in runs: the one before this is mostly the one to stand behind.
	if q.hint != noHost && q.hint < host && q.at[q.hint] == load {
		after = q.hint
		for n := q.next[after]; n != noHost && n < host; n = q.next[after] {
			after = n
		}
	} else {
		for after != noHost && after > host {
			after = q.prev[after]
		}
	}
	before := q.first[load] - 1
	if after != noHost {
		before = q.next[after]
		q.next[after] = host
	} else {
		q.first[load] = host + 1
	}
	if before != noHost {
		q.prev[before] = host
	} else {
		q.last[load] = host + 1
	}
	q.prev[host], q.next[host], q.at[host], q.hint = after, before, load, host
	q.words[load>>6] |= 1 << (load & 63)
	q.groups[load>>12] |= 1 << (load >> 6 & 63)
}

// remove takes a host out.
func (q *queue) remove(host int32) {
	load, before, after := q.at[host], q.prev[host], q.next[host]
	if load < 0 {
		return
	}
	if before != noHost {
		q.next[before] = after
	} else {
		q.first[load] = after + 1
	}
	if after != noHost {
		q.prev[after] = before
	} else {
		q.last[load] = before + 1
	}
	if q.first[load] == 0 {
		if q.words[load>>6] &^= 1 << (load & 63); q.words[load>>6] == 0 {
			q.groups[load>>12] &^= 1 << (load >> 6 & 63)
		}
	}
	q.at[host] = -1
	if q.hint == host {
		q.hint = noHost
	}
}

// lowest is the first host of the lowest load that is at least from, noHost when there is none.
func (q *queue) lowest(from int32) int32 {
	if from > maxLoad {
		return noHost
	}
	w := from >> 6
	if word := q.words[w] >> (from & 63); word != 0 {
		return q.first[from+int32(bits.TrailingZeros64(word))] - 1
	}
	for g, skip := w>>6, uint64(1)<<(w&63)<<1-1; g < int32(len(q.groups)); g, skip = g+1, 0 {
		if group := q.groups[g] &^ skip; group != 0 {
			w = g<<6 + int32(bits.TrailingZeros64(group))
			return q.first[w<<6+int32(bits.TrailingZeros64(q.words[w]))] - 1
		}
	}
	return noHost
}

// after is the host that follows one that is in the queue, noHost at the end.
func (q *queue) after(host int32) int32 {
	if n := q.next[host]; n != noHost {
		return n
	}
	return q.lowest(q.at[host] + 1)
}

package pack

import "math/bits"

// Problem is what is to be packed: items onto hosts. Amounts are whole numbers in any unit that is the same for hosts
// and kinds: millicores, bytes, pieces. Batch reads it and changes nothing.
type Problem struct {
	Hosts []Host
	Kinds []Kind
}

// Host is one bin.
type Host struct {
	// Free is what is left of each resource. It may be negative where more is held than there is: then only items fit
	// that want nothing of it.
	Free []int64
	// Size is what the host has of each resource when nothing runs there; nil is Free. Only Online asks.
	Size []int64
	// Used says that something runs there already. Used hosts are filled first and cost nothing.
	Used bool
	// Has and Avoids are the keys of what runs there already, see Kind.
	Has, Avoids []Key
}

// Key marks items that attract or exclude one another. Keys are names without an order; small numbers from 0 upwards.
type Key int32

// Kind is a number of equal items.
type Kind struct {
	Demand []int64 // of each resource; 0 fits even where a host is overdrawn
	Count  int     // items to place
	// Allowed are the hosts that the items may be on; nil is all.
	Allowed Set
	// PerHost is how many items of the kind a host may have; 0 is any number. Present is how many of them each host has
	// already; nil is none.
	PerHost int
	Present []int32
	// Two items may not share a host when one of them avoids a key that the other has. A fixed host port is a key that
	// its items both have and avoid, anti-affinity is avoiding a key that the others have.
	Has, Avoids []Key
	// Needs are keys of which each must be had by something else on the host: affinity. Kinds that need each other in a
	// ring are never placed; what belongs together in that way is one item with the sum of the demands.
	Needs []Key
}

// Set is a set of host indexes.
type Set []uint64

// NewSet is a set with room for the hosts 0 … n-1, empty.
func NewSet(n int) Set { return make(Set, (n+63)/64) }

// Add puts a host into the set, which must have room for it.
func (s Set) Add(host int) { s[host>>6] |= 1 << (host & 63) }

// Has reports whether the host is in the set. A nil set has all.
func (s Set) Has(host int) bool {
	return s == nil || host>>6 < len(s) && s[host>>6]>>(host&63)&1 != 0
}

// within is how many of the hosts 0 … n-1 are in the set. A nil set has all.
func (s Set) within(n int) int {
	if s == nil {
		return n
	}
	size := 0
	for i, w := range s {
		if from := i << 6; from+64 > n {
			w &= 1<<max(n-from, 0) - 1
		}
		size += bits.OnesCount64(w)
	}
	return size
}

// Result is where the items of a problem go.
type Result struct {
	Hosts    [][]int32 // by kind and item: the host's index, -1 without one. Placed items come first, in order of hosts.
	Unplaced int       // items without a host
	Opened   int       // hosts with items that were not in use before
	Steps    int       // what the search has spent
	// Proven says that no packing has fewer items unplaced, or as few on fewer opened hosts.
	Proven bool
}

package agent

import (
	"strings"

	"berth/runtime/ledger"
	"berth/runtime/store"
)

// shift takes in parts of the store that this host needs from now on, and forgets others, whose later changes it will not be
// told.
func (v *view) shift(s shift, c *changes) {
	for _, part := range s.left {
		v.forget(part, c)
	}
	for _, snap := range s.came {
		for _, p := range snap.Pairs {
			v.apply(store.Event{Pair: p}, c)
		}
	}
}

// forget drops what is known under a prefix of a scope.
func (v *view) forget(part string, c *changes) {
	c.left = true
	name := func(prefix string) string {
		rest, _ := strings.CutPrefix(part, prefix)
		return strings.TrimSuffix(rest, "/")
	}
	switch {
	case strings.HasPrefix(part, ledger.Endpoints):
		network := name(ledger.Endpoints)
		delete(v.endpoints, network)
		delete(v.unread, network)
		c.local = true
	case strings.HasPrefix(part, ledger.Readies):
		for where := range v.stands {
			if strings.HasPrefix(where, name(ledger.Readies)+"/") {
				delete(v.stands, where)
			}
		}
	case strings.HasPrefix(part, ledger.States):
		delete(v.states, name(ledger.States))
	case strings.HasPrefix(part, ledger.Guests):
		for _, guests := range v.guests {
			for g := range guests {
				if g.host == name(ledger.Guests) {
					delete(guests, g)
				}
			}
		}
	case strings.HasPrefix(part, ledger.Projects):
		if k := ledger.Split(part, ledger.Projects); len(k) == 2 {
			delete(v.locked, k[0])
			c.unlocked = true
		}
	}
}

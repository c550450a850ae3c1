package cluster

import (
	"net/netip"
	"net/url"
	"slices"

	"fmt"

	"berth/runtime/store/etcd"
)

// standing is a member of the embedded store as a command finds it.
type standing struct {
	etcd.Member
	Host string // "" when nobody knows
	Up   bool   // it answers
	Lost bool   // its data is gone
}

// change is one step towards the members that shall be.
type change struct {
	Kind changeKind
	Host string
	ID   uint64 // of the member; 0 for addLearner
}

type changeKind int

const (
	noChange   changeKind = iota
	addLearner            // tell the store of a member that gets the data and has no vote yet
	promote               // wait until it has, and give it its vote
	remove                // take a member out
)

// String is the change as a sentence for the user.
func (ch change) String() string {
	switch ch.Kind {
	case addLearner:
		return fmt.Sprintf("adding host %s to the members of the cluster's store", ch.Host)
	case promote:
		return fmt.Sprintf("copying the cluster's store to host %s", ch.Host)
	case remove:
		return fmt.Sprintf("taking host %s out of the members of the cluster's store", ch.Host)
	}
	return "the members of the cluster's store are as they shall be"
}

// nextChange is the next step from the members that are to those that are wanted, by host. Each step leaves a store with
// a majority that answers: what is lost goes first, since it only counts against the majority; then comes who is
// missing, one at a time, without a vote until it has the data; who leaves goes last, when the others have what it has
// and can do without it.
func nextChange(members []standing, wanted []string) change {
	is := func(s standing) bool { return slices.Contains(wanted, s.Host) }
	var voters []standing
	for _, s := range members {
		switch {
		case !s.Learner:
			voters = append(voters, s)
		case is(s) && !s.Lost && !voting(members, s.Host):
			return change{promote, s.Host, s.ID}
		default:
			return change{remove, s.Host, s.ID}
		}
	}
	if len(voters) > 1 {
		for _, s := range voters {
			if s.Lost || !is(s) && !s.Up {
				return change{remove, s.Host, s.ID}
			}
		}
	}
	for _, host := range wanted {
		if !voting(members, host) {
			return change{addLearner, host, 0}
		}
	}
	for _, s := range voters {
		if !is(s) && canDoWithout(voters, s) {
			return change{remove, s.Host, s.ID}
		}
	}
	return change{}
}

// canDoWithout reports whether, with a member gone, most of the others answer and have their data.
func canDoWithout(voters []standing, gone standing) bool {
	well := 0
	for _, s := range voters {
		if s.ID != gone.ID && s.Up && !s.Lost {
			well++
		}
	}
	return well > (len(voters)-1)/2
}

// voting reports whether a host has a member with a vote.
func voting(members []standing, host string) bool {
	return slices.ContainsFunc(members, func(s standing) bool { return s.Host == host && !s.Learner })
}

func httpsURL(addr netip.Addr, port uint16) string {
	return "https://" + netip.AddrPortFrom(addr, port).String()
}

// clientURL is where a member that has not started yet will be, by its peer URL.
func clientURL(peer string) string {
	u, err := url.Parse(peer)
	if err != nil {
		return ""
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return ""
	}
	return httpsURL(addr, ClientPort)
}

package ledger

import (
	"slices"

	"berth/runtime/identity"
)

// MembersKey is where the command line records who the members of the embedded store are, so that every agent, and every
// other command line, knows where the store is. The store's own list of members counts where the two differ; the next
// command then corrects this one.
const MembersKey = Root + "members"

// Membership is the embedded store's members, sorted by host.
type Membership struct {
	Members []Member `json:"members"`
}

// Member is one member of the embedded store.
type Member struct {
	Host    string `json:"host"`
	ID      string `json:"id"`                // etcd's, hexadecimal digits
	Client  string `json:"client"`            // https://address:port
	Peer    string `json:"peer"`              // https://address:port
	Learner bool   `json:"learner,omitempty"` // it is on its way in, has no vote and answers nobody
}

// Of gives a host's member.
func (m Membership) Of(host string) (Member, bool) {
	i := slices.IndexFunc(m.Members, func(one Member) bool { return one.Host == host })
	if i < 0 {
		return Member{}, false
	}
	return m.Members[i], true
}

// Voters are the members that serve.
func (m Membership) Voters() []Member {
	return slices.DeleteFunc(slices.Clone(m.Members), func(one Member) bool { return one.Learner })
}

// Endpoints are the client URLs of the members that serve.
func (m Membership) Endpoints() []string {
	var out []string
	for _, one := range m.Voters() {
		out = append(out, one.Client)
	}
	return out
}

// Refusal keeps a host out of the cluster.
type Refusal struct {
	// Admitted is the only admission of the host that is good: the one that it got when it came back. "" for none.
	Admitted string `json:"admitted,omitempty"`
}

// RefusedKey is where a host is refused that was taken out of the inventory.
func RefusedKey(host string) string { return Refused + host }

// Renewal is a request for a new certificate and, when a store member has answered it, that certificate.
type Renewal struct {
	Request identity.Request `json:"request"`
	Cert    []byte           `json:"cert,omitempty"` // PEM
}

// RenewalKey is where a host's agent asks for a new certificate.
func RenewalKey(host string) string { return Renewals + host }

// Owner is the host whose agent puts a key, "" for a key that belongs to no host.
func Owner(key string) string {
	for _, prefix := range []string{Hosts, Alive, States, Guests, Answering, Withdrawn, Renewals} {
		if k := Split(key, prefix); len(k) > 0 {
			return k[0]
		}
	}
	if k := Split(key, Readies); len(k) == 2 {
		return k[1]
	}
	return ""
}

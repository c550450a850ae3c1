package agent

import (
	"maps"

	"berth/placement"
	"berth/runtime/store"
)

// Endpoints come before their network does, in a snapshot and perhaps in a revision. Their records are kept as they came, and
// are read when somebody asks for the network's endpoints: not at all when this host is not on it.

// keepUnread takes the record of an endpoint in without reading it, if its network is of no interest here by now.
func (v *view) keepUnread(network, container string, e store.Event) bool {
	n := v.networks[network]
	if _, here := n.block(v.me); here {
		return false
	}
	if _, read := v.endpoints[network]; read {
		return false
	}
	if e.Deleted {
		delete(v.unread[network], container)
		if len(v.unread[network]) == 0 {
			delete(v.unread, network)
		}
		return true
	}
	if v.unread[network] == nil {
		v.unread[network] = map[string][]byte{}
	}
	v.unread[network][container] = e.Value
	return true
}

// of are the endpoints of a network by container; not to be changed.
func (v *view) of(network string) map[string]placement.Endpoint {
	unread, ok := v.unread[network]
	if !ok {
		return v.endpoints[network]
	}
	delete(v.unread, network)
	out := make(map[string]placement.Endpoint, len(unread))
	maps.Copy(out, v.endpoints[network])
	for container, value := range unread {
		var e placement.Endpoint
		if v.decode(store.Event{Pair: store.Pair{Key: network + "/" + container, Value: value}}, &e) {
			out[container] = e
		}
	}
	v.endpoints[network] = out
	return out
}

// joined reads the endpoints of a network that this host has come onto, and reports whether some are its own.
func (v *view) joined(network string) (local bool) {
	for _, e := range v.of(network) {
		local = local || e.Host == v.me
	}
	return local
}

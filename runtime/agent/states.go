package agent

import (
	"context"
	"encoding/json"
	"time"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/ledger"
)

// noticed deals with news of the engine.
func (a *agent) noticed(ctx context.Context, n news) {
	if a.retired {
		return
	}
	if n.containers != nil {
		a.containers, a.joined = n.containers, n.joined
		a.host(ctx)
		a.publishStates()
		a.standIn(ctx)
		a.ports.stale = true
	}
	if n.resync {
		a.asked = false
	}
	if n.resync || n.network {
		a.refresh() // the engine's networks are routes of the host
		a.list(ctx)
	}
	if n.freed {
		a.retryRemovals(ctx)
	}
}

// stateKeys finds out which containers of this host have endpoints, takes back the states of those that have none any
// more (or had in an earlier life), and publishes the others'.
func (a *agent) stateKeys() {
	locals := a.view.local()
	for _, g := range a.guests {
		locals[g.Container] = true
	}
	for _, old := range []map[string]bool{a.locals, keys(a.view.states[a.config.Host])} {
		for name := range old {
			if !locals[name] {
				a.publish.delete(ledger.StateKey(a.config.Host, name))
			}
		}
	}
	a.locals = locals
	a.publishStates()
}

// publishStates publishes the states of this host's containers that have endpoints, and only those.
func (a *agent) publishStates() {
	if a.view == nil || a.containers == nil {
		return
	}
	for name := range a.locals {
		key := ledger.StateKey(a.config.Host, name)
		a.names.SetServing(a.config.Host, name, a.serves(a.config.Host, name))
		if s, ok := a.containers[name]; ok {
			a.publish.set(key, s, true)
		} else if _, reported := a.view.states[a.config.Host][name]; reported || a.publish.has(key) {
			a.publish.delete(key)
		}
	}
}

func keys[V any](m map[string]V) map[string]bool {
	out := make(map[string]bool, len(m))
	for k := range m {
		out[k] = true
	}
	return out
}

// fresh is how old the event of a start may be that is believed: after a stream was broken, what it tells may be over.
const fresh = time.Second

// startServes reports whether the event of a start tells by itself that the container serves: its record says that there is no
// health check to wait for. Asking the engine takes a busy one a tenth of a second, which others would not know of it.
func startServes(ev engine.Event) bool {
	var rec placement.ContainerRecord
	return time.Since(ev.Time) < fresh && json.Unmarshal([]byte(ev.Attributes[placement.RecordLabel]), &rec) == nil && rec.Unchecked
}

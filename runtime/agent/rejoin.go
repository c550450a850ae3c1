package agent

import (
	"context"
	"time"

	"berth/placement"
	"berth/runtime/engine"
)

// settleLeft is how long after a container left a network the agent looks whether it should be there: a container that
// stops leaves too, and a command that takes it off has the project's lock by then.
const settleLeft = 250 * time.Millisecond

// rejoinPause is the pause between attempts to put a container back onto a network that refuses it.
const rejoinPause = 10 * time.Second

// rejoin puts containers back onto networks that the store has them on and the engine has not, running or not: after
// "docker network disconnect" by hand, or when a network was removed by hand and made again. A project that a command
// works on is left to it; when it has ended, the engine is looked at again.
func (a *agent) rejoin(ctx context.Context) {
	if a.view == nil {
		return
	}
	a.waiting = false
	for network, info := range a.engineNets {
		r, wanted := a.view.networks[network]
		if n := a.nets[network]; !wanted || labelVNI(info) != r.VNI || n != nil && n.busy {
			continue
		}
		for name, e := range a.view.of(network) {
			c, there := a.listed[name]
			if e.Host != a.config.Host || !there || !astray(c, info) {
				continue
			}
			if a.view.locked[e.Project] {
				a.waiting = true
				continue
			}
			a.reconnect(ctx, c, e)
		}
	}
}

// astray reports whether a container has lost a network. One that was never started names no network by its ID, and one
// that is stopped keeps that of a network that is gone, which would keep it from starting.
func astray(c engine.ContainerInfo, network engine.NetworkInfo) bool {
	at, on := c.Networks[network.Name]
	switch c.State {
	case "running", "paused":
		return !on || at.NetworkID != network.ID
	case "exited", "created":
		return on && at.NetworkID != "" && at.NetworkID != network.ID
	}
	return false
}

// reconnect starts putting one container back.
func (a *agent) reconnect(ctx context.Context, c engine.ContainerInfo, e placement.Endpoint) {
	key := [2]string{e.Network, c.ID}
	if t, tried := a.rejoined[key]; tried && time.Since(t) < rejoinPause {
		return
	}
	a.rejoined[key] = time.Now()
	a.job(ctx, func(ctx context.Context) result {
		return result{rejoined: key, container: c.Name, err: a.engine.Rejoin(ctx, c, e)}
	})
}

// finishRejoin takes in how that went.
func (a *agent) finishRejoin(ctx context.Context, r result) {
	if r.err != nil {
		if ctx.Err() == nil {
			a.log.Error("container not put back onto its network", "container", r.container, "network", r.rejoined[0], "err", r.err)
			a.later(ctx, rejoinPause)
		}
		return
	}
	delete(a.rejoined, r.rejoined)
	a.log.Info("container put back onto its network", "container", r.container, "network", r.rejoined[0])
}

package engine

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/docker/docker/api/types/network"

	"berth/placement"
)

// LeaveNetwork takes a container off a network. One that is not on it is success.
func (e *Engine) LeaveNetwork(ctx context.Context, id, network string) error {
	err := e.api.NetworkDisconnect(ctx, network, id, true)
	if IsNotFound(err) || err != nil && strings.Contains(err.Error(), "is not connected to") {
		return nil
	}
	return e.fail("disconnect container", id, err)
}

// JoinNetwork puts a container on a network as Create with that spec would; id is the container's. One that is on it
// already is success.
func (e *Engine) JoinNetwork(ctx context.Context, id string, n *placement.NetworkSpec, spec CreateSpec) error {
	const op = "connect container"
	api, err := e.version(ctx)
	if err != nil {
		return e.fail(op, id, err)
	}
	settings, err := new(creation).endpoint(&spec, n.Key, n.Name, surroundings{API: api})
	if err != nil {
		return e.fail(op, id, err)
	}
	err = e.api.NetworkConnect(ctx, n.Name, id, settings)
	if err != nil && strings.Contains(err.Error(), "already exists in network") {
		return nil
	}
	return e.fail(op, id, err)
}

// Rejoin puts a container, running or not, back onto an overlay that it was taken off behind berth's back, with the
// address that the store has for it, and otherwise as it was made. One that is on another network of that name, which is
// gone, leaves that first.
func (e *Engine) Rejoin(ctx context.Context, c ContainerInfo, p placement.Endpoint) error {
	const op = "connect container"
	api, err := e.version(ctx)
	if err != nil {
		return e.fail(op, c.ID, err)
	}
	if err := e.LeaveNetwork(ctx, c.ID, p.Network); err != nil {
		return err
	}
	return e.fail(op, c.ID, e.api.NetworkConnect(ctx, p.Network, c.ID, rejoining(c, p, api)))
}

// rejoining is the membership of a container in an overlay, by its record and by what it says of itself.
func rejoining(c ContainerInfo, p placement.Endpoint, api string) *network.EndpointSettings {
	var rec placement.ContainerRecord
	_ = json.Unmarshal([]byte(c.Labels[placement.RecordLabel]), &rec) // one without is on its networks in no special way
	e, ipam := &network.EndpointSettings{}, &network.EndpointIPAMConfig{}
	setJoin(rec.Joins[p.Network], e, ipam)
	setAddress(p, e, ipam, api)
	e.IPAMConfig = ipam
	return e
}

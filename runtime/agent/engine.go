package agent

import (
	"context"

	"berth/placement"
	"berth/runtime/engine"
)

// Engine is what an agent asks of its host's engine; *engine.Engine fulfils it.
type Engine interface {
	Observe(ctx context.Context, q engine.Query) (engine.Snapshot, error)
	CreateBridgeNetwork(ctx context.Context, n engine.BridgeNetwork) (id string, err error)
	RemoveNetwork(ctx context.Context, name string) error
	ClearNetwork(ctx context.Context, name string) ([]string, error)
	Networks(ctx context.Context, label string) ([]engine.NetworkInfo, error)
	Containers(ctx context.Context, f engine.Filter) ([]engine.ContainerInfo, error)
	State(ctx context.Context, id string) (engine.State, error)
	Events(ctx context.Context) *engine.Events
	RunWireGuard(ctx context.Context, s engine.WireGuardSpec) error
	RemoveWireGuard(ctx context.Context) error
	Rejoin(ctx context.Context, c engine.ContainerInfo, e placement.Endpoint) error
}

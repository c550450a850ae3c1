package ledger

import (
	"encoding/json"
	"fmt"

	"berth/runtime/store"
	"berth/scheduler"
)

// Allocation is rewritten by every transaction that adds a network, a block or a port in mode ingress, so that two
// commands that chose subnets, VNIs, blocks or ports from the same view cannot both win.
const Allocation = Root + "allocation"

// Txn turns a planner's change into one store transaction of the project. allocated is the revision at which the
// plan saw the Allocation key (0: absent); it is compared only when the change allocates.
func Txn(project string, c *scheduler.Change, allocated int64) (store.Txn, error) {
	var t store.Txn
	var err error
	put := func(key string, v any) {
		b, e := json.Marshal(v)
		if e != nil && err == nil {
			err = fmt.Errorf("encode store record %s: %w", key, e)
		}
		t.Puts = append(t.Puts, store.Put{Key: key, Value: b})
	}
	for _, n := range c.Networks {
		put(NetworkKey(n.Name), n)
	}
	for _, r := range c.Ports {
		put(PortKey(r.Protocol, r.Published), r)
	}
	if len(c.Networks)+len(c.Endpoints)+len(c.Ports) > 0 {
		t.Compares = append(t.Compares, store.Compare{Key: Allocation, Modified: allocated})
		t.Puts = append(t.Puts, store.Put{Key: Allocation})
	}
	for _, e := range c.Endpoints {
		put(EndpointKey(e), e)
	}
	for task, r := range c.Tasks {
		put(TaskKey(project, task), r)
	}
	for volume, host := range c.Pins {
		put(PinKey(project, volume), host)
	}
	for _, r := range c.DropPorts {
		t.Deletes = append(t.Deletes, PortKey(r.Protocol, r.Published))
	}
	for _, n := range c.DropNetworks {
		t.Deletes = append(t.Deletes, NetworkKey(n))
	}
	for _, e := range c.DropEndpoint {
		t.Deletes = append(t.Deletes, EndpointKey(e))
	}
	for _, task := range c.DropTasks {
		t.Deletes = append(t.Deletes, TaskKey(project, task))
	}
	for _, v := range c.DropPins {
		t.Deletes = append(t.Deletes, PinKey(project, v))
	}
	return t, err
}

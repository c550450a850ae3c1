package agent

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/ledger"
)

// find asks the engine for all that the store has to know of this host.
func (a *agent) find(ctx context.Context) (ledger.Found, error) {
	nets, err := a.engine.Networks(ctx, placement.NetworkLabel)
	if err != nil {
		return ledger.Found{}, err
	}
	containers, err := a.engine.Containers(ctx, engine.Filter{All: true})
	if err != nil {
		return ledger.Found{}, err
	}
	return found(a.config.Host, nets, containers), nil
}

// found reads networks and containers with their labels.
func found(host string, nets []engine.NetworkInfo, containers []engine.ContainerInfo) ledger.Found {
	f := ledger.Found{Host: host, Tasks: map[string]map[placement.Task]placement.TaskRecord{},
		Pins: map[string][]string{}, Containers: map[string]bool{}}
	for _, c := range containers {
		f.Containers[c.Name] = true
	}
	overlays := map[string]placement.Network{}
	for _, info := range nets {
		n, ok := networkOf(host, info)
		if !ok {
			continue
		}
		overlays[n.Name] = n
		f.Networks = append(f.Networks, n)
	}
	for _, c := range containers {
		addContainer(&f, c, overlays)
	}
	slices.SortFunc(f.Networks, func(a, b placement.Network) int { return strings.Compare(a.Name, b.Name) })
	return f
}

// networkOf is the record of an engine network that an agent made, with this host's block.
func networkOf(host string, info engine.NetworkInfo) (placement.Network, bool) {
	vni := labelVNI(info)
	if vni == 0 || len(info.Subnets) == 0 || !info.Gateway.IsValid() || !info.Range.IsValid() {
		return placement.Network{}, false
	}
	var n placement.Network
	if json.Unmarshal([]byte(info.Labels[placement.RecordLabel]), &n) != nil {
		// Of an agent that did not write the label.
		n = placement.Network{Project: info.Labels[engine.ProjectLabel], Key: info.Labels[engine.NetworkKeyLabel], MTU: info.MTU}
	}
	block := n.Blocks[host]
	block.Range, block.Gateway = info.Range, info.Gateway
	n.Name, n.VNI, n.Internal, n.Subnet = info.Name, vni, info.Internal, info.Subnets[0]
	n.Blocks = map[string]placement.Block{host: block}
	n.Labels = maps.Clone(info.Labels)
	delete(n.Labels, placement.NetworkLabel)
	delete(n.Labels, placement.RecordLabel)
	return n, true
}

// addContainer takes in a container of a cluster's project.
func addContainer(f *ledger.Found, c engine.ContainerInfo, overlays map[string]placement.Network) {
	project := c.Labels[engine.ProjectLabel]
	name := c.Name
	if final := c.Labels[engine.ReplaceLabel]; final != "" {
		if f.Containers[final] {
			return // a recreate that was interrupted before the old one went
		}
		name = final
	}
	var rec placement.ContainerRecord
	marked := json.Unmarshal([]byte(c.Labels[placement.RecordLabel]), &rec) == nil
	if !marked {
		rec = guess(c, name, overlays)
	}
	if project == "" || !marked && len(rec.Endpoints) == 0 {
		return
	}
	for _, e := range rec.Endpoints {
		if _, on := c.Networks[e.Network]; on && overlays[e.Network].Name != "" {
			e.Host = f.Host
			f.Endpoints = append(f.Endpoints, e)
		}
	}
	for _, p := range rec.Ports {
		if !slices.Contains(f.Ports, p) {
			f.Ports = append(f.Ports, p)
		}
	}
	for _, v := range rec.Pins {
		if !slices.Contains(f.Pins[project], v) {
			f.Pins[project] = append(f.Pins[project], v)
		}
	}
	number, err := strconv.Atoi(c.Labels[engine.NumberLabel])
	if err != nil || number <= 0 || c.Labels[engine.OneOffLabel] == "True" {
		return
	}
	if f.Tasks[project] == nil {
		f.Tasks[project] = map[placement.Task]placement.TaskRecord{}
	}
	t := placement.Task{Service: c.Labels[engine.ServiceLabel], Number: number}
	f.Tasks[project][t] = placement.TaskRecord{Host: f.Host, Container: name, Hash: c.Labels[engine.ConfigHashLabel]}
}

// guess makes the record of a container without one from its addresses, which engines know while it runs.
func guess(c engine.ContainerInfo, name string, overlays map[string]placement.Network) placement.ContainerRecord {
	var rec placement.ContainerRecord
	for network, at := range c.Networks {
		n, ok := overlays[network]
		if !ok || !at.IP.IsValid() || inBlock(n, at.IP) {
			continue // docker run's, which the engine has given an address of the host's block
		}
		number, _ := strconv.Atoi(c.Labels[engine.NumberLabel]) // 0 for one-offs
		rec.Endpoints = append(rec.Endpoints, placement.Endpoint{Network: network, Container: name, Project: c.Labels[engine.ProjectLabel],
			Service: c.Labels[engine.ServiceLabel], Number: number, IP: at.IP, MAC: placement.MACFor(at.IP)})
	}
	return rec
}

func inBlock(n placement.Network, ip netip.Addr) bool {
	for _, b := range n.Blocks {
		if b.Range.Contains(ip) {
			return true
		}
	}
	return false
}

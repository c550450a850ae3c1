package engine

import (
	"cmp"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
)

// resourceAspects are limits, reservations and devices.
func resourceAspects(w, h *container.HostConfig) []aspect {
	swap := h.MemorySwap
	if w.MemorySwap == 0 && h.Memory > 0 && (h.MemorySwap == 2*h.Memory || h.MemorySwap == -1) {
		swap = 0 // the engine's default beside a memory limit
	}
	return []aspect{
		{"mem_limit", w.Memory, h.Memory},
		{"memswap_limit", w.MemorySwap, swap},
		{"mem_reservation", w.MemoryReservation, h.MemoryReservation},
		{"mem_swappiness", swappiness(w.MemorySwappiness), swappiness(h.MemorySwappiness)},
		{"cpus", w.NanoCPUs, h.NanoCPUs},
		{"cpu_shares", w.CPUShares, h.CPUShares},
		{"cpu_quota", [2]int64{w.CPUPeriod, w.CPUQuota}, [2]int64{h.CPUPeriod, h.CPUQuota}},
		{"cpu_rt", [2]int64{w.CPURealtimePeriod, w.CPURealtimeRuntime}, [2]int64{h.CPURealtimePeriod, h.CPURealtimeRuntime}},
		{"cpu_count", [2]int64{w.CPUCount, w.CPUPercent}, [2]int64{h.CPUCount, h.CPUPercent}},
		{"cpuset", w.CpusetCpus, h.CpusetCpus},
		{"cgroup_parent", w.CgroupParent, h.CgroupParent},
		{"pids_limit", pids(w.PidsLimit), pids(h.PidsLimit)},
		{"oom_kill_disable", valueOr(w.OomKillDisable, false), valueOr(h.OomKillDisable, false)},
		{"ulimits", ulimits(w.Ulimits), ulimits(h.Ulimits)},
		{"devices", deviceFiles(w.Devices), deviceFiles(h.Devices)},
		{"device_cgroup_rules", sorted(w.DeviceCgroupRules), sorted(h.DeviceCgroupRules)},
		{"gpus", deviceRequests(w.DeviceRequests), deviceRequests(h.DeviceRequests)},
		{"blkio_config", blkioOf(&w.Resources), blkioOf(&h.Resources)},
	}
}

// swappiness: engines say -1 for "not set".
func swappiness(p *int64) int64 { return valueOr(p, -1) }

// pids: none, 0 and -1 all mean no limit.
func pids(p *int64) int64 { return max(valueOr(p, 0), 0) }

func ulimits(list []*container.Ulimit) map[string]container.Ulimit {
	m := map[string]container.Ulimit{}
	for _, u := range list {
		m[u.Name] = *u
	}
	return m
}

func deviceFiles(list []container.DeviceMapping) []container.DeviceMapping {
	list = slices.Clone(list)
	for i := range list {
		list[i].PathInContainer = cmp.Or(list[i].PathInContainer, list[i].PathOnHost)
		list[i].CgroupPermissions = cmp.Or(list[i].CgroupPermissions, "rwm")
	}
	slices.SortFunc(list, func(a, b container.DeviceMapping) int { return strings.Compare(a.PathInContainer, b.PathInContainer) })
	return list
}

func deviceRequests(list []container.DeviceRequest) []string {
	var out []string
	for _, r := range list {
		var groups []string
		for _, g := range r.Capabilities {
			groups = append(groups, strings.Join(sorted(g), "+"))
		}
		out = append(out, jsonHash([]any{r.Driver, r.Count, sorted(r.DeviceIDs), sorted(groups), nonNil(r.Options)}))
	}
	return sorted(out)
}

func blkioOf(r *container.Resources) map[string]uint64 {
	m := map[string]uint64{}
	if r.BlkioWeight != 0 {
		m["weight"] = uint64(r.BlkioWeight)
	}
	for _, d := range r.BlkioWeightDevice {
		m["weight "+d.Path] = uint64(d.Weight)
	}
	for kind, list := range map[string][]*blkiodev.ThrottleDevice{
		"read bps ": r.BlkioDeviceReadBps, "write bps ": r.BlkioDeviceWriteBps,
		"read iops ": r.BlkioDeviceReadIOps, "write iops ": r.BlkioDeviceWriteIOps,
	} {
		for _, d := range list {
			m[kind+d.Path] = d.Rate
		}
	}
	return m
}

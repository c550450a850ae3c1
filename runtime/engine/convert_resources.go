package engine

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"

	"berth/placement"
)

// minimumShares and maximumShares are the smallest and the largest CPU weight the kernel knows.
const minimumShares, maximumShares = 2, 1 << 18

// resources are the limits as compose sets them, and the reservation enforced: reserved CPU becomes the container's
// weight (1024 a core, as the kernel counts) and reserved memory its soft limit, so that under contention a task gets
// what it reserved.
func resources(svc *placement.Service) container.Resources {
	s := svc.Spec
	r := container.Resources{
		CgroupParent: s.CgroupParent, Memory: int64(s.MemLimit), MemorySwap: int64(s.MemSwapLimit),
		MemoryReservation: int64(s.MemReservation), CPUCount: s.CPUCount, CPUPeriod: s.CPUPeriod, CPUQuota: s.CPUQuota,
		CPURealtimePeriod: s.CPURTPeriod, CPURealtimeRuntime: s.CPURTRuntime, CPUShares: s.CPUShares,
		NanoCPUs: int64(s.CPUS * 1e9), CPUPercent: int64(s.CPUPercent * 100), CpusetCpus: s.CPUSet,
		DeviceCgroupRules: s.DeviceCgroupRules,
	}
	if s.MemSwappiness != 0 {
		v := int64(s.MemSwappiness)
		r.MemorySwappiness = &v
	}
	if s.OomKillDisable {
		r.OomKillDisable = &s.OomKillDisable
	}
	if s.PidsLimit != 0 {
		r.PidsLimit = &s.PidsLimit
	}
	blkio(s.BlkioConfig, &r)
	if s.Deploy != nil {
		limits(s.Deploy.Resources.Limits, &r)
		if res := s.Deploy.Resources.Reservations; res != nil {
			if res.MemoryBytes != 0 {
				r.MemoryReservation = int64(res.MemoryBytes)
			}
			for _, d := range res.Devices {
				r.DeviceRequests = append(r.DeviceRequests, deviceRequest(d, d.Capabilities))
			}
		}
	}
	if svc.Reservation.Memory > 0 {
		r.MemoryReservation = svc.Reservation.Memory
	}
	if svc.Reservation.CPU > 0 && s.CPUShares == 0 {
		r.CPUShares = min(max(minimumShares, svc.Reservation.CPU*1024/1000), maximumShares)
	}
	devices(s, &r)
	for _, name := range sortedKeys(s.Ulimits) {
		u := s.Ulimits[name]
		limit := &container.Ulimit{Name: name, Soft: int64(u.Single), Hard: int64(u.Single)}
		if u.Soft != 0 {
			limit.Soft = int64(u.Soft)
		}
		if u.Hard != 0 {
			limit.Hard = int64(u.Hard)
		}
		r.Ulimits = append(r.Ulimits, limit)
	}
	return r
}

func limits(l *types.Resource, r *container.Resources) {
	if l == nil {
		return
	}
	if l.MemoryBytes != 0 {
		r.Memory = int64(l.MemoryBytes)
	}
	if l.NanoCPUs != 0 {
		r.NanoCPUs = int64(l.NanoCPUs * 1e9)
	}
	if l.Pids > 0 {
		r.PidsLimit = &l.Pids
	}
}

// devices maps device files, and asks for those that a driver provides (CDI names, GPUs).
func devices(s *types.ServiceConfig, r *container.Resources) {
	var cdi []string
	for _, d := range s.Devices {
		if d.Source == d.Target && cdiName(d.Source) {
			cdi = append(cdi, d.Source)
			continue
		}
		r.Devices = append(r.Devices, container.DeviceMapping{
			PathOnHost: d.Source, PathInContainer: d.Target, CgroupPermissions: d.Permissions,
		})
	}
	if len(cdi) > 0 {
		r.DeviceRequests = append(r.DeviceRequests, container.DeviceRequest{Driver: "cdi", DeviceIDs: cdi})
	}
	for _, g := range s.Gpus {
		r.DeviceRequests = append(r.DeviceRequests, deviceRequest(g, append(slices.Clone(g.Capabilities), "gpu")))
	}
}

// cdiName reports whether a device is named in the Container Device Interface's way: vendor.tld/class=name.
func cdiName(s string) bool {
	kind, name, ok := strings.Cut(s, "=")
	vendor, class, hasClass := strings.Cut(kind, "/")
	return ok && hasClass && vendor != "" && class != "" && name != "" && !strings.Contains(class, "/")
}

func deviceRequest(d types.DeviceRequest, capabilities []string) container.DeviceRequest {
	return container.DeviceRequest{
		Driver: d.Driver, Count: int(d.Count), DeviceIDs: d.IDs, Options: d.Options, Capabilities: [][]string{capabilities},
	}
}

func blkio(b *types.BlkioConfig, r *container.Resources) {
	if b == nil {
		return
	}
	r.BlkioWeight = b.Weight
	for _, d := range b.WeightDevice {
		r.BlkioWeightDevice = append(r.BlkioWeightDevice, &blkiodev.WeightDevice{Path: d.Path, Weight: d.Weight})
	}
	r.BlkioDeviceReadBps = throttle(b.DeviceReadBps)
	r.BlkioDeviceReadIOps = throttle(b.DeviceReadIOps)
	r.BlkioDeviceWriteBps = throttle(b.DeviceWriteBps)
	r.BlkioDeviceWriteIOps = throttle(b.DeviceWriteIOps)
}

func throttle(list []types.ThrottleDevice) []*blkiodev.ThrottleDevice {
	var out []*blkiodev.ThrottleDevice
	for _, d := range list {
		out = append(out, &blkiodev.ThrottleDevice{Path: d.Path, Rate: uint64(d.Rate)})
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

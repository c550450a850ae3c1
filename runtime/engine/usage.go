package engine

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// Usage is what a container uses of its host at one moment.
type Usage struct {
	CPU                      float64 // of one core, in percent: 150 is one core and a half
	Memory, MemoryLimit      uint64  // bytes; the limit is the host's memory when the container has none
	NetworkRead, NetworkSent uint64  // bytes since its start, all networks
	BlockRead, BlockWritten  uint64  // bytes since its start, all devices
	Processes                uint64  // and threads
}

// MemoryPercent is the used part of the limit.
func (u Usage) MemoryPercent() float64 {
	if u.MemoryLimit == 0 {
		return 0
	}
	return float64(u.Memory) / float64(u.MemoryLimit) * 100
}

// Usage asks once. It takes the engine a second or two: it measures the CPU between two moments.
func (e *Engine) Usage(ctx context.Context, id string) (Usage, error) {
	var last Usage
	err := e.usage(ctx, id, false, func(u Usage) { last = u })
	return last, err
}

// FollowUsage calls f about once a second, until the container is gone or ctx ends. A stopped container uses nothing and
// is heard of again when it is started.
func (e *Engine) FollowUsage(ctx context.Context, id string, f func(Usage)) error {
	return e.usage(ctx, id, true, f)
}

func (e *Engine) usage(ctx context.Context, id string, stream bool, f func(Usage)) error {
	const op = "measure container"
	res, err := e.api.ContainerStats(ctx, id, stream)
	if err != nil {
		return e.fail(op, id, err)
	}
	defer res.Body.Close()
	dec := json.NewDecoder(res.Body)
	var previous container.CPUStats
	for {
		var s container.StatsResponse
		if err := dec.Decode(&s); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return e.fail(op, id, err)
		}
		if s.PreCPUStats.SystemUsage != 0 {
			previous = s.PreCPUStats
		}
		f(usageOf(&s, previous))
		previous = s.CPUStats
	}
}

// usageOf computes what the docker command line shows: of the memory, what could be given back at once (inactive file
// pages) is left out.
func usageOf(s *container.StatsResponse, previous container.CPUStats) Usage {
	u := Usage{Memory: s.MemoryStats.Usage, MemoryLimit: s.MemoryStats.Limit, Processes: s.PidsStats.Current}
	inactive, ok := s.MemoryStats.Stats["total_inactive_file"] // cgroup v1
	if !ok {
		inactive = s.MemoryStats.Stats["inactive_file"]
	}
	if inactive < u.Memory {
		u.Memory -= inactive
	}
	used := float64(s.CPUStats.CPUUsage.TotalUsage) - float64(previous.CPUUsage.TotalUsage)
	passed := float64(s.CPUStats.SystemUsage) - float64(previous.SystemUsage) // nanoseconds of all cores together
	cores := float64(s.CPUStats.OnlineCPUs)
	if cores == 0 {
		cores = float64(len(s.CPUStats.CPUUsage.PercpuUsage))
	}
	if previous.SystemUsage != 0 && used > 0 && passed > 0 {
		u.CPU = used / passed * cores * 100
	}
	for _, n := range s.Networks {
		u.NetworkRead, u.NetworkSent = u.NetworkRead+n.RxBytes, u.NetworkSent+n.TxBytes
	}
	for _, b := range s.BlkioStats.IoServiceBytesRecursive {
		switch strings.ToLower(b.Op) {
		case "read":
			u.BlockRead += b.Value
		case "write":
			u.BlockWritten += b.Value
		}
	}
	return u
}

// Processes is what `ps` on the host says of a container's processes.
type Processes struct {
	Titles []string   // of the columns: UID, PID …
	Rows   [][]string // a cell a title
}

// Top lists a running container's processes.
func (e *Engine) Top(ctx context.Context, id string) (Processes, error) {
	res, err := e.api.ContainerTop(ctx, id, nil)
	if err != nil {
		return Processes{}, e.fail("list processes of container", id, err)
	}
	return Processes{Titles: res.Titles, Rows: res.Processes}, nil
}

package engine

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
)

func TestUsageIsWhatTheDockerCommandLineShows(t *testing.T) {
	cpu := func(container1, system uint64, cores uint32) container.CPUStats {
		return container.CPUStats{CPUUsage: container.CPUUsage{TotalUsage: container1}, SystemUsage: system, OnlineCPUs: cores}
	}
	for _, c := range []struct {
		name     string
		s        container.StatsResponse
		previous container.CPUStats
		want     Usage
	}{
		{"one core and a half of four", container.StatsResponse{CPUStats: cpu(1_500, 8_000, 4)}, cpu(0, 4_000, 4), Usage{CPU: 150}},
		{"the first sample knows no CPU", container.StatsResponse{CPUStats: cpu(1_500, 8_000, 4)}, container.CPUStats{}, Usage{}},
		{"a restart begins to count anew", container.StatsResponse{CPUStats: cpu(100, 8_000, 4)}, cpu(1_000, 4_000, 4), Usage{}},
		{"cgroup v1", container.StatsResponse{MemoryStats: container.MemoryStats{
			Usage: 100, Limit: 1000, Stats: map[string]uint64{"total_inactive_file": 40, "inactive_file": 1},
		}}, container.CPUStats{}, Usage{Memory: 60, MemoryLimit: 1000}},
		{"cgroup v2", container.StatsResponse{MemoryStats: container.MemoryStats{
			Usage: 100, Limit: 1000, Stats: map[string]uint64{"inactive_file": 30},
		}}, container.CPUStats{}, Usage{Memory: 70, MemoryLimit: 1000}},
		{"more cache than use", container.StatsResponse{MemoryStats: container.MemoryStats{
			Usage: 100, Limit: 1000, Stats: map[string]uint64{"inactive_file": 300},
		}}, container.CPUStats{}, Usage{Memory: 100, MemoryLimit: 1000}},
		{"all networks and devices", container.StatsResponse{
			Networks: map[string]container.NetworkStats{"eth0": {RxBytes: 1, TxBytes: 10}, "eth1": {RxBytes: 2, TxBytes: 20}},
			BlkioStats: container.BlkioStats{IoServiceBytesRecursive: []container.BlkioStatEntry{
				{Op: "Read", Value: 100}, {Op: "write", Value: 1000}, {Op: "read", Value: 200}, {Op: "Total", Value: 9999},
			}},
			PidsStats: container.PidsStats{Current: 7},
		}, container.CPUStats{}, Usage{NetworkRead: 3, NetworkSent: 30, BlockRead: 300, BlockWritten: 1000, Processes: 7}},
	} {
		if diff := cmp.Diff(c.want, usageOf(&c.s, c.previous)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	if p := (Usage{Memory: 1, MemoryLimit: 8}).MemoryPercent(); p != 12.5 {
		t.Errorf("1 of 8 bytes is %v %%", p)
	}
	if p := (Usage{}).MemoryPercent(); p != 0 {
		t.Errorf("a stopped container uses %v %%", p)
	}
}

func TestTimesAreReadAsDockerReadsThem(t *testing.T) {
	now := time.Date(2026, 1, 2, 13, 0, 0, 500, time.UTC)
	for value, want := range map[string]time.Time{
		"90s":                         now.Add(-90 * time.Second),
		"1h30m":                       now.Add(-90 * time.Minute),
		"1767358800":                  time.Date(2026, 1, 2, 13, 0, 0, 0, time.UTC),
		"1767358800.000000001":        time.Date(2026, 1, 2, 13, 0, 0, 1, time.UTC),
		"2026-01-02T12:59:00Z":        time.Date(2026, 1, 2, 12, 59, 0, 0, time.UTC),
		"2026-01-02T12:59:00.5+01:00": time.Date(2026, 1, 2, 11, 59, 0, 500_000_000, time.UTC),
	} {
		if got, err := ParseTime(value, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", value, got, err, want)
		}
	}
	for _, value := range []string{"", "yesterday", "12 o'clock"} {
		if got, err := ParseTime(value, now); err == nil {
			t.Errorf("%q is taken for %v", value, got)
		}
	}
}

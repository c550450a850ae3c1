package quality

import (
	"cmp"
	"slices"
)

// task is one task of a mix.
type task struct{ cpu, memory int64 }

// tasks are those of a mix, one by one, in the order in which they arrive.
func (m *Mix) tasks() []task {
	var all []task
	for _, s := range m.Services {
		for range s.Replicas {
			all = append(all, task{s.CPU, s.Memory})
		}
	}
	return all
}

// share is how much of a host a task takes of the resource that it takes most of, in millionths.
func (t task) share() int64 {
	return max(t.cpu*1_000_000/HostCPU, t.memory/(HostMemory/1_000_000))
}

// FirstFit puts each task on the first host with room and returns the number of hosts.
func FirstFit(m *Mix) int { return firstFit(m.tasks()) }

// FirstFitDecreasing is FirstFit with the tasks sorted by the resource that they take most of, largest first.
func FirstFitDecreasing(m *Mix) int {
	all := m.tasks()
	slices.SortStableFunc(all, func(a, b task) int { return cmp.Compare(b.share(), a.share()) })
	return firstFit(all)
}

func firstFit(all []task) int {
	var free []task
	for _, t := range all {
		h := slices.IndexFunc(free, func(f task) bool { return t.cpu <= f.cpu && t.memory <= f.memory })
		if h < 0 {
			h = len(free)
			free = append(free, task{HostCPU, HostMemory})
		}
		free[h].cpu -= t.cpu
		free[h].memory -= t.memory
	}
	return len(free)
}

// Fullest puts each task on the host with room that is fullest by the mean of CPU and memory, as Kubernetes' MostAllocated
// does.
func Fullest(m *Mix) int {
	var free []task
	for _, t := range m.tasks() {
		best, least := -1, int64(0)
		for h, f := range free {
			if t.cpu > f.cpu || t.memory > f.memory {
				continue
			}
			if left := f.cpu*1_000_000/HostCPU + f.memory/(HostMemory/1_000_000); best < 0 || left < least {
				best, least = h, left
			}
		}
		if best < 0 {
			best = len(free)
			free = append(free, task{HostCPU, HostMemory})
		}
		free[best].cpu -= t.cpu
		free[best].memory -= t.memory
	}
	return len(free)
}

// Spread is the smallest number of hosts on which putting each task on the host with the fewest tasks that has room
// (swarmkit's rule) places all tasks.
func Spread(m *Mix) int {
	all := m.tasks()
	low, high := 1, len(all)
	for low < high {
		if n := (low + high) / 2; spreadFits(all, n) {
			high = n
		} else {
			low = n + 1
		}
	}
	return low
}

// spreadFits keeps the hosts in lists by their number of tasks, each in order of hosts.
func spreadFits(all []task, hosts int) bool {
	free := make([]task, hosts)
	first := make([]int, hosts)
	for h := range free {
		free[h], first[h] = task{HostCPU, HostMemory}, h
	}
	byTasks := [][]int{first}
	for _, t := range all {
		placed := false
		for n := 0; n < len(byTasks) && !placed; n++ {
			i := slices.IndexFunc(byTasks[n], func(h int) bool { return t.cpu <= free[h].cpu && t.memory <= free[h].memory })
			if i < 0 {
				continue
			}
			h := byTasks[n][i]
			free[h].cpu -= t.cpu
			free[h].memory -= t.memory
			byTasks[n] = slices.Delete(byTasks[n], i, i+1)
			if n+1 == len(byTasks) {
				byTasks = append(byTasks, nil)
			}
			at, _ := slices.BinarySearch(byTasks[n+1], h)
			byTasks[n+1] = slices.Insert(byTasks[n+1], at, h)
			placed = true
		}
		if !placed {
			return false
		}
	}
	return true
}

package pack

// full is 1 in the parts in which shares are counted here.
const full = 64

// score says how good a host is for an item; lower is better. It is
//
//	what is left on the host / 8 + stranded(with the item) - stranded(without it)
//
// where what is left counts by how scarce a resource is, and stranded is what is so far out of proportion that it will
// hardly be used: with both resources equally scarce, CPU beyond three times the share of memory that is left, or memory
// beyond three times the share of CPU. So an item goes where it repairs a disproportion, not where it makes one, and
// else where least is left. Everything is linear or the largest of linear terms, in whole numbers, without a division.
type score struct {
	g      [2]int64 // how scarce each resource is, in parts of full; the scarcer has full
	demand [2]int64 // scaled
	size   [2]int64 // of the hosts
}

// of is the score of a host with so much left, scaled.
func (s *score) of(cpu, memory int64) int64 {
	nextCPU, nextMemory := cpu-s.demand[0], memory-s.demand[1]
	left := (s.g[0]*nextCPU + s.g[1]*nextMemory) * (s.g[0]*s.g[0] + s.g[1]*s.g[1]) * full
	return left + 8*(s.stranded(nextCPU, nextMemory)-s.stranded(cpu, memory))
}

// beyond is what a host has left beyond what would be left of it anyway, when all hosts are full of the scarcer resource.
func (s *score) beyond(resource int, left int64) int64 {
	return left*full - (full-s.g[resource])*s.size[resource]
}

func (s *score) stranded(cpu, memory int64) int64 {
	c, m := s.beyond(0, cpu), s.beyond(1, memory)
	off := 2 * s.g[0] * s.g[1] * (s.g[1]*c - s.g[0]*m)
	return max(0, max(off, -off)-full*full*(s.g[0]*c+s.g[1]*m))
}

// bends are the straight lines at which stranded bends, as memory beyond = ratio × CPU beyond, in 1<<20ths. Only there,
// or where a host just fits, can a row of hosts with equal CPU have its best one.
func (s *score) bends(ratios []int64) []int64 {
	c, m := s.g[0], s.g[1]
	if c == 0 || m == 0 {
		return ratios
	}
	ratios = append(ratios, m<<20/c, c*(2*m*m-full*full)<<20/(m*(2*c*c+full*full)))
	if d := m * (2*c*c - full*full); d != 0 {
		ratios = append(ratios, c*(2*m*m+full*full)<<20/d)
	}
	return ratios
}

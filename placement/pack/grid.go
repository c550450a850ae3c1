package pack

import "math/bits"

// cells is how many cells a grid has in each direction; the last one also has all hosts with more.
const cells = 256

// grid holds hosts by what they have free: rows of CPU, columns of memory, each a granule wide. Bitmaps say which cells
// have hosts, so that a search goes from one host to the next and not from one cell to the next.
type grid struct {
	opened bool
	size   [2]int64                  // scaled size of its hosts
	step   [2]int64                  // a granule in the same scale
	grain  [2]int64                  // a granule in the problem's units
	rows   [cells / 64]uint64        // rows with hosts
	cols   [cells][cells / 64]uint64 // by row: columns with hosts
	slot   []int32                   // by cell: index in heaps, 0 for none yet
	heaps  []cell
}

// cell is the hosts in one cell: a heap by index, in which hosts that have left may still be.
type cell struct {
	hosts []int32
	live  int
}

func newGrid(opened bool, size, step, grain [2]int64) *grid {
	return &grid{opened: opened, size: size, step: step, grain: grain, slot: make([]int32, cells*cells), heaps: make([]cell, 1)}
}

// at is the cell of a host with so much free.
func (g *grid) at(cpu, memory int64) int32 {
	row := min(max(cpu, 0)/g.grain[0], cells-1)
	col := min(max(memory, 0)/g.grain[1], cells-1)
	return int32(row*cells + col)
}

// least is the smallest row or column all hosts of which have room for a demand; cells when none is.
func (g *grid) least(resource int, demand int64) int {
	return int(min((demand+g.grain[resource]-1)/g.grain[resource], cells))
}

func (g *grid) add(at int32, host int32) {
	i := g.slot[at]
	if i == 0 {
		i = int32(len(g.heaps))
		g.slot[at] = i
		g.heaps = append(g.heaps, cell{})
	}
	c := &g.heaps[i]
	c.hosts = append(c.hosts, host)
	c.live++
	for k := len(c.hosts) - 1; k > 0; {
		up := (k - 1) / 2
		if c.hosts[up] <= c.hosts[k] {
			break
		}
		c.hosts[up], c.hosts[k] = c.hosts[k], c.hosts[up]
		k = up
	}
	row, col := at/cells, at%cells
	g.cols[row][col>>6] |= 1 << (col & 63)
	g.rows[row>>6] |= 1 << (row & 63)
}

// leave notes that a host has left its cell. It stays in the heap until it comes to the top.
func (g *grid) leave(at int32) {
	c := &g.heaps[g.slot[at]]
	c.live--
	if c.live > 0 {
		return
	}
	c.hosts = c.hosts[:0]
	row, col := at/cells, at%cells
	g.cols[row][col>>6] &^= 1 << (col & 63)
	if g.cols[row] == [cells / 64]uint64{} {
		g.rows[row>>6] &^= 1 << (row & 63)
	}
}

// first is the first host of a cell that has some. stays tells hosts that are there from those that have left.
func (g *grid) first(at int32, stays func(host int32) bool) int32 {
	c := &g.heaps[g.slot[at]]
	for !stays(c.hosts[0]) {
		last := len(c.hosts) - 1
		c.hosts[0] = c.hosts[last]
		c.hosts = c.hosts[:last]
		for k := 0; ; {
			child := 2*k + 1
			if child >= last {
				break
			}
			if child+1 < last && c.hosts[child+1] < c.hosts[child] {
				child++
			}
			if c.hosts[k] <= c.hosts[child] {
				break
			}
			c.hosts[k], c.hosts[child] = c.hosts[child], c.hosts[k]
			k = child
		}
	}
	return c.hosts[0]
}

// from is the first bit at or after i; -1 for none.
func from(words *[cells / 64]uint64, i int) int {
	if i >= cells {
		return -1
	}
	i = max(i, 0)
	w := i >> 6
	if x := words[w] >> (i & 63); x != 0 {
		return i + bits.TrailingZeros64(x)
	}
	for w++; w < len(words); w++ {
		if words[w] != 0 {
			return w<<6 + bits.TrailingZeros64(words[w])
		}
	}
	return -1
}

// upTo is the last bit at or before i; -1 for none.
func upTo(words *[cells / 64]uint64, i int) int {
	if i < 0 {
		return -1
	}
	i = min(i, cells-1)
	w := i >> 6
	if x := words[w] << (63 - i&63); x != 0 {
		return i - bits.LeadingZeros64(x)
	}
	for w--; w >= 0; w-- {
		if words[w] != 0 {
			return w<<6 + 63 - bits.LeadingZeros64(words[w])
		}
	}
	return -1
}

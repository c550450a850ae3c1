package scheduler

import (
	"container/heap"
	"errors"
	"slices"
)

// graph collects steps and what they wait for. A step is known by the number that add returned until sorted gives it
// its place in the plan; none stands for a step that is not needed.
type graph struct {
	steps []Step
}

const none = -1

// add appends a step that waits for others; none does not count, and repetition does no harm.
func (g *graph) add(s Step, after ...int) int {
	id := len(g.steps)
	s.After = nil
	g.steps = append(g.steps, s)
	g.need(id, after...)
	return id
}

// need lets a step wait for more.
func (g *graph) need(id int, after ...int) {
	if id == none {
		return
	}
	s := &g.steps[id]
	for _, a := range after {
		if a != none && a != id {
			s.After = append(s.After, a)
		}
	}
}

var errCycle = errors.New("the services depend on each other in a circle; take one depends_on away")

// sorted returns the steps in an order where each follows what it waits for, otherwise in the order they were added,
// with ID and After as places in that order.
func (g *graph) sorted() ([]Step, error) {
	missing := make([]int, len(g.steps))
	next := make([][]int, len(g.steps))
	var ready intHeap
	for i := range g.steps {
		slices.Sort(g.steps[i].After)
		g.steps[i].After = slices.Compact(g.steps[i].After)
		missing[i] = len(g.steps[i].After)
		for _, a := range g.steps[i].After {
			next[a] = append(next[a], i)
		}
		if missing[i] == 0 {
			ready = append(ready, i)
		}
	}
	heap.Init(&ready)
	place := make([]int, len(g.steps))
	out := make([]Step, 0, len(g.steps))
	for len(ready) > 0 {
		i := heap.Pop(&ready).(int)
		place[i] = len(out)
		out = append(out, g.steps[i])
		for _, n := range next[i] {
			if missing[n]--; missing[n] == 0 {
				heap.Push(&ready, n)
			}
		}
	}
	if len(out) < len(g.steps) {
		return nil, errCycle
	}
	for i := range out {
		out[i].ID = i
		after := make([]int, len(out[i].After))
		for j, a := range out[i].After {
			after[j] = place[a]
		}
		slices.Sort(after)
		out[i].After = after
	}
	reduce(out)
	return out, nil
}

// reducible bounds the plans whose redundant edges are taken out: it costs memory with the square of the steps.
const reducible = 4096

// reduce takes out of After what other entries of it wait for anyway, so that the text says no more than it must.
func reduce(steps []Step) {
	if len(steps) > reducible {
		return
	}
	words := (len(steps) + 63) / 64
	before := make([]uint64, len(steps)*words) // for each step, a bit for each step that comes before it
	for i := range steps {
		own := before[i*words : (i+1)*words]
		kept := steps[i].After[:0:0]
		for _, a := range slices.Backward(steps[i].After) {
			if own[a/64]&(1<<(a%64)) != 0 {
				continue
			}
			kept = append(kept, a)
			own[a/64] |= 1 << (a % 64)
			for w, b := range before[a*words : (a+1)*words] {
				own[w] |= b
			}
		}
		slices.Reverse(kept)
		steps[i].After = kept
	}
}

type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

package logs

import (
	"container/heap"
	"time"
)

// arrival is what a followed feed sends: a line, or its end.
type arrival struct {
	feed *feed
	line Line
	end  bool
	err  error // of the end
}

// waiting is an arrival in the window.
type waiting struct {
	arrival
	key  time.Time // sorted by
	seq  uint64    // arrival number
	due  time.Time // released then at the latest
	gone bool
}

func (w *waiting) before(o *waiting) bool {
	if c := w.key.Compare(o.key); c != 0 {
		return c < 0
	}
	if w.feed.order != o.feed.order {
		return w.feed.order < o.feed.order
	}
	return w.seq < o.seq
}

// window puts arrivals in the order of their times: each waits for size, and takes those along that are earlier. It
// holds at most limit; a flood is released early.
type window struct {
	size  time.Duration
	limit int

	seq    uint64
	sorted waitingHeap
	queue  []*waiting // in order of arrival, hence of due; some gone
}

// push takes an arrival.
func (w *window) push(a arrival, now time.Time) {
	key := a.feed.key
	if !a.end {
		key = a.feed.sortKey(a.line)
	}
	w.seq++
	x := &waiting{arrival: a, key: key, seq: w.seq, due: now.Add(w.size)}
	heap.Push(&w.sorted, x)
	w.queue = append(w.queue, x)
}

// release hands over all that is due, with what sorts before it, in order.
func (w *window) release(now time.Time, out func(arrival)) {
	var bound *waiting // the last, in order, that is due
	for len(w.queue) > 0 && (w.queue[0].gone || !w.queue[0].due.After(now)) {
		x := w.queue[0]
		w.queue[0] = nil
		w.queue = w.queue[1:]
		if !x.gone && (bound == nil || bound.before(x)) {
			bound = x
		}
	}
	for len(w.sorted) > w.limit || bound != nil && !bound.gone {
		x := heap.Pop(&w.sorted).(*waiting)
		x.gone = true
		out(x.arrival)
	}
}

// flush hands over everything.
func (w *window) flush(out func(arrival)) {
	for len(w.sorted) > 0 {
		out(heap.Pop(&w.sorted).(*waiting).arrival)
	}
	w.queue = nil
}

// next is when release has something to do; false while nothing waits. Call it after release.
func (w *window) next() (time.Time, bool) {
	if len(w.sorted) == 0 {
		return time.Time{}, false
	}
	for w.queue[0].gone {
		w.queue[0] = nil
		w.queue = w.queue[1:]
	}
	return w.queue[0].due, true
}

type waitingHeap []*waiting

func (h waitingHeap) Len() int           { return len(h) }
func (h waitingHeap) Less(i, j int) bool { return h[i].before(h[j]) }
func (h waitingHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *waitingHeap) Push(x any)        { *h = append(*h, x.(*waiting)) }
func (h *waitingHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return x
}

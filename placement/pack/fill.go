package pack

import (
	"cmp"
	"slices"
)

// recipe says how a host is filled.
type recipe struct {
	wanted  []int64 // scaled demand of all items that are to be placed: the direction in which hosts ought to be filled
	balance int64   // how much keeping that direction counts beside size, in eighths
	noise   int     // scores are multiplied by random numbers from 16 to 16+noise
}

// fill puts items of the candidate classes on a host until none fits.
func (s *state) fill(h int, candidates []int32, r *recipe) {
	var gs, base [8]int64
	g := append(gs[:0], r.wanted...)
	surplus := base[:0]
	room := s.room[h*s.d : h*s.d+s.d]
	size := s.size[h*s.d : h*s.d+s.d]
	most := int64(1)
	for j := range g {
		if size[j] == 0 {
			g[j] = 0
			continue
		}
		g[j] /= size[j]
		most = max(most, g[j])
	}
	var gg int64
	for j := range g {
		g[j] = g[j] * 1024 / most
		gg += g[j] * g[j]
		surplus = append(surplus, (1024-g[j])*size[j]>>10)
	}
	gg = max(gg, 1)
	for {
		best, top := int32(-1), int64(0)
		kept := candidates[:0]
		for _, c := range candidates {
			if s.left[c] == 0 {
				continue
			}
			k := &s.classes[c]
			if !s.fits(h, c) {
				if k.needs != nil {
					kept = append(kept, c) // the host may get what it needs
				}
				continue
			}
			kept = append(kept, c)
			var weight, along, off int64
			for j, d := range k.scaled {
				weight += d * g[j]
				along += (room[j] - d - surplus[j]) * g[j]
			}
			along = along << 10 / gg
			for j, d := range k.scaled {
				dev := room[j] - d - surplus[j] - (along * g[j] >> 10)
				if dev < 0 {
					dev = -dev
				}
				off += dev * g[j]
			}
			score := weight - off*r.balance>>3
			if r.noise > 0 {
				score += weight * int64(s.below(r.noise)) / 16
			}
			if best < 0 || score > top {
				best, top = c, score
			}
		}
		s.steps += len(candidates) + 1
		if best < 0 {
			return
		}
		s.put(h, best)
		candidates = kept
	}
}

// construct fills one host after the other.
func (s *state) construct(balance int64) {
	var remaining, candidates []int32
	wanted := make([]int64, s.d)
	for c := range s.classes {
		remaining = append(remaining, int32(c))
	}
	for h := range s.order {
		kept := remaining[:0]
		clear(wanted)
		for _, c := range remaining {
			if s.left[c] > 0 {
				kept = append(kept, c)
				for j, d := range s.classes[c].scaled {
					wanted[j] += d * int64(s.left[c]) << 10
				}
			}
		}
		remaining = kept
		if len(remaining) == 0 {
			return
		}
		candidates = append(candidates[:0], remaining...)
		s.fill(h, candidates, &recipe{wanted: wanted, balance: balance})
	}
}

// smallFirst places as many items as it can where there is not room for all, those that take least first.
func (s *state) smallFirst() {
	order := make([]int32, len(s.classes))
	for c := range order {
		order[c] = int32(c)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(s.classes[a].weight, s.classes[b].weight) })
	for again := true; again; { // what others need may have come after them
		again = false
		for _, c := range order {
			for h := 0; h < len(s.order) && s.left[c] > 0; h++ {
				for s.left[c] > 0 && s.fits(h, c) {
					s.put(h, c)
					again = true
				}
			}
		}
	}
}

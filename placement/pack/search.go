package pack

// found is the best host so far, of those in use and of the others.
type found struct {
	host  [2]int32
	score [2]int64
	at    [2]int64
}

// take notes a host, or the cell of one: the better score wins, then the lower place.
func (f *found) take(opened bool, score, at int64, host int32) {
	i := 0
	if opened {
		i = 1
	}
	if f.host[i] < 0 || score < f.score[i] || score == f.score[i] && at < f.at[i] {
		f.host[i], f.score[i], f.at[i] = host, score, at
	}
}

// choose decides between the best host in use and the best of the others.
func (o *Online) choose(f *found) int {
	if f.host[1] >= 0 && (f.host[0] < 0 || f.score[1] <= f.score[0] || !o.mayOpen()) {
		return 1
	}
	return 0
}

// search looks through the grids. It returns -1 when no cell is sure to have room.
func (o *Online) search(k *Kind) int32 {
	s := o.scorer(k)
	var lines [3]int64
	bends := s.bends(lines[:0])
	f := found{host: [2]int32{-1, -1}}
	for i, g := range o.grids {
		s.size = g.size
		row := from(&g.rows, g.least(0, amount(k.Demand, 0)))
		least := g.least(1, amount(k.Demand, 1))
		for ; row >= 0; row = from(&g.rows, row+1) {
			cols := &g.cols[row]
			first := from(cols, least)
			if first < 0 {
				continue
			}
			cpu := int64(row) * g.step[0]
			f.take(g.opened, s.of(cpu, int64(first)*g.step[1]), int64(i)<<32|int64(row*cells+first), 0)
			beyond := s.beyond(0, cpu-s.demand[0])
			for _, ratio := range bends {
				memory := beyond*ratio>>20 + (full-s.g[1])*s.size[1] + full*s.demand[1]
				bend := int(memory / (full * g.step[1]))
				if memory < 0 || bend < first {
					continue
				}
				col := upTo(cols, bend)
				if col > first {
					f.take(g.opened, s.of(cpu, int64(col)*g.step[1]), int64(i)<<32|int64(row*cells+col), 0)
				}
				if col = from(cols, bend+1); col >= 0 {
					f.take(g.opened, s.of(cpu, int64(col)*g.step[1]), int64(i)<<32|int64(row*cells+col), 0)
				}
			}
		}
	}
	i := o.choose(&f)
	if f.host[i] < 0 {
		return -1
	}
	at, in := int32(f.at[i]&(1<<32-1)), int32(f.at[i]>>32)
	return o.grids[in].first(at, func(host int32) bool { return o.hosts[host].grid == in && o.hosts[host].at == at })
}

// scan goes through all hosts.
func (o *Online) scan(k *Kind) int32 {
	s := o.scorer(k)
	f := found{host: [2]int32{-1, -1}}
	for i := range o.hosts {
		if !o.fits(i, k) {
			continue
		}
		h := &o.hosts[i]
		g := o.grids[h.grid]
		s.size = g.size
		score := s.of(int64(h.at/cells)*g.step[0], int64(h.at%cells)*g.step[1])
		f.take(g.opened, score, int64(h.grid)<<32|int64(h.at), int32(i))
	}
	return f.host[o.choose(&f)]
}

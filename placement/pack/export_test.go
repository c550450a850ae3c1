package pack

// Exact is the branch and bound alone, for tests: the fewest unplaced items and, of those packings, opened hosts.
func Exact(p *Problem) (unplaced, opened int) {
	s := newState(p)
	x := newExact(s, s.possible(), -1, s.waiting()+1, 0, 1<<40)
	for c, possible := range s.possible() {
		if !possible {
			unplaced += s.classes[c].count
		}
	}
	x.run()
	return x.unplaced + unplaced, x.opened
}

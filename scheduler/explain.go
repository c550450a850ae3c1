package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"berth/placement"
)

// Explanation is how hosts were chosen for the tasks of one service.
type Explanation struct {
	Service  *placement.Service
	Scores   []placement.Score // best first, as things stood before the first of the tasks that had no host was placed
	Placed   []Assignment      // tasks that got their host by these scores, by number
	Stay     []Assignment      // tasks that stay where they are
	Unplaced []placement.Task  // tasks that no host takes
}

// explain keeps the scores that a bundle's hosts are chosen by, where somebody wants to know: those of the service's first
// bundle.
func (u *upper) explain(b *bundle) {
	for _, s := range b.services() {
		if slices.Contains(u.opts.Explain, s.Name) && u.scores[s.Name] == nil {
			u.scores[s.Name] = u.board.Scores(u.ask(b))
		}
	}
}

// explanations puts together what the user wants to know, in the order of UpOptions.Explain. A service of which all tasks
// stay has the scores that one more would meet.
func (u *upper) explanations() {
	for _, name := range u.opts.Explain {
		st := u.byName[name]
		if st == nil || !st.inScope {
			continue
		}
		x := Explanation{Service: st.service, Scores: u.scores[name]}
		if x.Scores == nil {
			r := u.board.NewRequest(st.service, placement.Task{Service: name, Number: st.highest + 1}, u.needs.Of(st.service)...)
			r.Wish(u.needs.Soft(st.service)...)
			x.Scores = u.board.Scores(r)
		}
		for _, t := range st.tasks {
			switch {
			case t.unplaced():
				x.Unplaced = append(x.Unplaced, t.Task)
			case t.old != nil && !t.moves() || t.away:
				x.Stay = append(x.Stay, Assignment{t.Task, t.host()})
			default:
				x.Placed = append(x.Placed, Assignment{t.Task, t.host()})
			}
		}
		u.plan.Explanations = append(u.plan.Explanations, x)
	}
}

// String is the explanation as people read it: a sentence, and a line a host, best first.
func (x *Explanation) String() string {
	var b strings.Builder
	s := x.Service
	fmt.Fprintf(&b, "service %s: %s", s.Name, cmp.Or(s.Strategy, placement.Spread))
	for i, p := range s.Preferences {
		fmt.Fprintf(&b, "%s %s", []string{" over", ", then"}[min(i, 1)], p)
	}
	b.WriteString("; hosts best first, before a task was placed\n")
	on := map[string][]string{}
	for _, a := range x.Placed {
		on[a.Host] = append(on[a.Host], a.Task.String())
	}
	for _, a := range x.Stay {
		on[a.Host] = append(on[a.Host], a.Task.String()+" (stays)")
	}
	for _, h := range x.Scores {
		fmt.Fprintf(&b, "  %s: ", h.Host)
		if h.Refused != "" {
			b.WriteString("refused: " + h.Refused)
		} else {
			b.WriteString(strings.Join(merits(&h), ", "))
		}
		if tasks := on[h.Host]; len(tasks) > 0 {
			b.WriteString(" <- " + shorten(tasks))
		}
		b.WriteByte('\n')
	}
	for _, t := range x.Unplaced {
		fmt.Fprintf(&b, "  %s has no host\n", t)
	}
	return b.String()
}

// merits are what hosts are compared by, in that order.
func merits(h *placement.Score) []string {
	var all []string
	if h.Fails {
		all = append(all, "a task of it fails here")
	}
	if h.Agrees > 0 {
		all = append(all, fmt.Sprintf("soft rules %d", h.Agrees))
	}
	for _, g := range h.Groups {
		text := fmt.Sprintf("%s in %s %q", count(g.Tasks, "task"), g.Key, g.Value)
		if g.Share != 1 {
			text += fmt.Sprintf(" with share %d", g.Share)
		}
		all = append(all, text)
	}
	return append(all, count(h.Tasks, "task")+" of it here", fmt.Sprintf("load %s %% (CPU %s %%, memory %s %% reserved)",
		percent(h.Load), percent(h.CPU), percent(h.Memory)))
}

// percent writes thousandths as per cents.
func percent(thousandths int) string {
	return fmt.Sprintf("%d.%d", thousandths/10, thousandths%10)
}

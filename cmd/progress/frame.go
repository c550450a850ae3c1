package progress

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// row is one finished row of a frame and its width in cells.
type row struct {
	text  string
	width int
}

// frame lays out the header and the lines for a terminal of this width, in at most limit rows (0: all of them).
// Rows are one cell narrower than the terminal: a full row would leave the cursor in a state in which terminals
// disagree about what erasing to its right means.
func (t *tty) frame(now time.Time, width, limit int) []row {
	width--
	done := t.finished()
	head := cell{text: fmt.Sprintf("[+] %s %d/%d", t.o.Title, done, len(t.lines))}
	if done == len(t.lines) {
		head.color = t.style.blue
	}
	shown, rest := t.lines, cell{}
	if limit > 0 && len(t.lines)+1 > limit {
		shown, rest = clip(t.lines, limit-2)
	}
	idWidth, hostWidth := 0, 0
	for _, l := range shown {
		idWidth, hostWidth = max(idWidth, cells(l.ID)), max(hostWidth, cells(l.Host))
	}
	rows := []row{layout([]cell{head}, cell{}, width)}
	for _, l := range shown {
		rows = append(rows, layout(t.cells(l, idWidth, hostWidth), cell{
			text: fmt.Sprintf("%.1fs", l.elapsed(now).Seconds()), color: t.style.blue,
		}, width))
	}
	if rest.text != "" {
		rows = append(rows, layout([]cell{rest}, cell{}, width))
	}
	return rows
}

// cells is one line: " ✔ Container p-web-1  host1  Started  cause".
func (t *tty) cells(l *line, idWidth, hostWidth int) []cell {
	mark, color := t.mark(l.Status)
	c := []cell{{text: " "}, mark, {text: " "}}
	if t.o.DryRun {
		c = append(c, cell{text: strings.TrimLeft(dryRunPrefix, " "), color: t.style.cyan})
	}
	c = append(c, cell{text: pad(l.ID, idWidth) + "  "})
	if hostWidth > 0 {
		c = append(c, cell{text: pad(l.Host, hostWidth) + "  ", color: t.style.faint})
	}
	c = append(c, cell{text: l.Text, color: color})
	if l.tick() {
		c = append(c, cell{text: " ["}, cell{text: bar(l.Current, l.Total), color: t.style.green}, cell{text: "]"},
			cell{text: fmt.Sprintf(" %s / %s", units.HumanSize(float64(l.Current)), units.HumanSize(float64(l.Total)))})
	}
	if l.Details != "" {
		c = append(c, cell{text: " " + l.Details})
	}
	return c
}

var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// mark is the sign before a line, and the colour of its text.
func (t *tty) mark(s Status) (cell, paint) {
	switch s {
	case Done:
		return cell{"✔", t.style.green}, t.style.green
	case Warning:
		return cell{"!", t.style.warning}, t.style.warning
	case Failed:
		return cell{"✘", t.style.failure}, t.style.failure
	case Skipped:
		return cell{"-", t.style.faint}, t.style.faint
	}
	return cell{spinner[t.frames%len(spinner)], t.style.yellow}, nil
}

// clip chooses n of the lines, kept in order, and counts the others in a last row: failures and warnings first, then
// what is being worked on, then what ended last.
func clip(lines []*line, n int) ([]*line, cell) {
	order := make([]int, len(lines))
	for i := range order {
		order[i] = i
	}
	rank := func(l *line) int {
		switch l.Status {
		case Failed:
			return 0
		case Warning:
			return 1
		case Working:
			return 2
		}
		return 3
	}
	slices.SortStableFunc(order, func(a, b int) int {
		la, lb := lines[a], lines[b]
		if d := rank(la) - rank(lb); d != 0 {
			return d
		}
		if la.Status == Working {
			return 0
		}
		return lb.end.Compare(la.end)
	})
	chosen := order[:n]
	slices.Sort(chosen)
	shown := make([]*line, n)
	for i, j := range chosen {
		shown[i] = lines[j]
	}
	working := 0
	for _, j := range order[n:] {
		if lines[j].Status == Working {
			working++
		}
	}
	hidden := len(lines) - n
	return shown, cell{text: fmt.Sprintf(" … and %d more (%d working, %d finished)", hidden, working, hidden-working)}
}

// levels are compose's signs for the filling of one cell.
var levels = []rune("⠀⡀⣀⣄⣤⣦⣶⣷⣿")

// bar is a progress bar of 8 cells.
func bar(current, total int64) string {
	const width = 8
	steps := int64(len(levels) - 1)
	filled := min(current, total) * width * steps / total
	var b strings.Builder
	for range width {
		n := max(0, min(filled, steps))
		b.WriteRune(levels[n])
		filled -= n
	}
	return b.String()
}

package progress

import (
	"strings"

	"github.com/morikuni/aec"
	"golang.org/x/text/width"
)

// paint colours a text; nil leaves it.
type paint func(string) string

// style is the palette, compose's; without color it is a palette of nothing.
type style struct{ color bool }

func (s style) apply(a aec.ANSI, text string) string {
	if !s.color || text == "" {
		return text
	}
	return a.Apply(text)
}

func (s style) green(t string) string   { return s.apply(aec.GreenF, t) }
func (s style) yellow(t string) string  { return s.apply(aec.YellowF, t) }
func (s style) blue(t string) string    { return s.apply(aec.BlueF, t) }
func (s style) cyan(t string) string    { return s.apply(aec.CyanF, t) }
func (s style) faint(t string) string   { return s.apply(aec.Faint, t) }
func (s style) warning(t string) string { return s.apply(aec.YellowF.With(aec.Bold), t) }
func (s style) failure(t string) string { return s.apply(aec.RedF.With(aec.Bold), t) }

// cell is a piece of a row in one colour.
type cell struct {
	text  string
	color paint
}

// layout sets the pieces from the left and the last one at the right edge, cutting the pieces where they would meet.
// A row too narrow for both goes without the right one.
func layout(left []cell, right cell, width int) row {
	room, edge := width, cells(right.text)
	if edge > 0 && edge+20 <= width {
		room -= edge + 1
	} else {
		right.text = ""
	}
	var b strings.Builder
	used := 0
	for _, c := range left {
		text, n := cut(c.text, room-used)
		used += n
		if c.color != nil {
			text = c.color(text)
		}
		b.WriteString(text)
	}
	if right.text != "" {
		b.WriteString(strings.Repeat(" ", width-edge-used) + right.color(right.text))
		used = width
	}
	return row{b.String(), used}
}

// cut returns as much of s as fits n cells, and its width.
func cut(s string, n int) (string, int) {
	used := 0
	for i, r := range s {
		w := runeCells(r)
		if used+w > n {
			return s[:i], used
		}
		used += w
	}
	return s, used
}

// pad fills s with spaces to n cells.
func pad(s string, n int) string { return s + strings.Repeat(" ", max(0, n-cells(s))) }

// cells is the width of s on a terminal.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n += runeCells(r)
	}
	return n
}

// runeCells: East Asian wide and full-width characters take two cells (Unicode TR 11).
func runeCells(r rune) int {
	if r < 0x1100 {
		return 1
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

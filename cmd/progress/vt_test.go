package progress

import (
	"strconv"
	"strings"
	"sync"
)

// vt is a small terminal: it wraps, scrolls, reflows when resized, and knows the sequences that tty writes. Colours
// are dropped.
type vt struct {
	mu            sync.Mutex
	width, height int
	rows          []vtRow // all ever shown, the scrolled-off ones too
	y, x          int     // cursor; y indexes rows
	hidden        bool
	unknown       []string // sequences it does not know
}

type vtRow struct {
	cells   []rune
	wrapped bool // goes on in the next row
}

func newVT(width, height int) *vt { return &vt{width: width, height: height, rows: make([]vtRow, 1)} }

func (v *vt) size() (width, height int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.width, v.height
}

// top is the first row on the screen.
func (v *vt) top() int { return max(0, len(v.rows)-v.height) }

func (v *vt) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	rs := []rune(string(p))
	for i := 0; i < len(rs); i++ {
		switch r := rs[i]; r {
		case '\r':
			v.x = 0
		case '\n':
			v.rows[v.y].wrapped = false
			v.down()
			v.x = 0
		case '\x1b':
			j := i + 2
			for j < len(rs) && !(rs[j] >= '@' && rs[j] <= '~') {
				j++
			}
			v.sequence(string(rs[i+2:j]), rs[j])
			i = j
		default:
			if v.x == v.width {
				v.rows[v.y].wrapped = true
				v.down()
				v.x = 0
			}
			row := &v.rows[v.y]
			for len(row.cells) <= v.x {
				row.cells = append(row.cells, ' ')
			}
			row.cells[v.x] = r
			v.x++
		}
	}
	return len(p), nil
}

func (v *vt) down() {
	v.y++
	if v.y == len(v.rows) {
		v.rows = append(v.rows, vtRow{})
	}
}

func (v *vt) sequence(args string, final rune) {
	n, err := strconv.Atoi(args)
	if err != nil {
		n = 0
	}
	switch {
	case final == 'A':
		v.y = max(v.top(), v.y-max(1, n))
	case final == 'K' && n == 0:
		v.erase(v.y, v.x)
	case final == 'J' && n == 0:
		v.erase(v.y, v.x)
		for y := v.y + 1; y < len(v.rows); y++ {
			v.rows[y] = vtRow{}
		}
	case final == 'm':
	case args == "?25" && final == 'l':
		v.hidden = true
	case args == "?25" && final == 'h':
		v.hidden = false
	default:
		v.unknown = append(v.unknown, args+string(final))
	}
}

func (v *vt) erase(y, x int) {
	row := &v.rows[y]
	if x < len(row.cells) {
		row.cells = row.cells[:x]
	}
	row.wrapped = false
}

// resize reflows the rows to a new width, as today's terminals do.
func (v *vt) resize(width, height int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var logical [][]rune
	joined := false
	cursor := 0
	for y, r := range v.rows {
		if !joined {
			logical = append(logical, nil)
		}
		if y == v.y {
			cursor = len(logical) - 1
		}
		logical[len(logical)-1] = append(logical[len(logical)-1], r.cells...)
		joined = r.wrapped
	}
	v.rows, v.width, v.height = nil, width, height
	for i, l := range logical {
		if i == cursor {
			v.y = len(v.rows)
		}
		for len(l) > width {
			v.rows = append(v.rows, vtRow{l[:width:width], true})
			l = l[width:]
		}
		v.rows = append(v.rows, vtRow{cells: l})
	}
}

// text is all that was shown, without trailing blanks.
func (v *vt) text() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var b strings.Builder
	for _, r := range v.rows {
		b.WriteString(strings.TrimRight(string(r.cells), " "))
		if !r.wrapped {
			b.WriteByte('\n')
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

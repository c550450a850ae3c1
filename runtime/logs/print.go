package logs

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"berth/placement"
)

// The compose labels that make a container's default name.
const (
	projectLabel = "com.docker.compose.project"
	serviceLabel = "com.docker.compose.service"
	numberLabel  = "com.docker.compose.container-number"
)

// Label is what prefixes a container's lines: its name without the project ("web-1") when it has the default name,
// else its name, as in compose.
func Label(c placement.Container) string {
	for _, sep := range []string{"-", "_"} { // _ with --compatibility
		short := c.Labels[serviceLabel] + sep + c.Labels[numberLabel]
		if c.Name == c.Labels[projectLabel]+sep+short {
			return short
		}
	}
	return c.Name
}

// Labels are the labels of a task's container that Label looks at, for one that has only been planned.
func Labels(project string, t placement.Task) map[string]string {
	return map[string]string{projectLabel: project, serviceLabel: t.Service, numberLabel: strconv.Itoa(t.Number)}
}

// timeLayout is the engine's own for `logs --timestamps`: RFC 3339 with all nine digits.
const timeLayout = "2006-01-02T15:04:05.000000000Z07:00"

// palette is compose's, in its order: the SGR codes of cyan, yellow, green, magenta, blue and their intense forms.
var palette = []string{"36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1"}

// resetLine clears what a progress display may have left on the line.
const resetLine = "\r\x1b[K"

// PrinterOptions are the flags of logs and of an attached up.
type PrinterOptions struct {
	Color      bool // a terminal, without --no-color
	NoPrefix   bool // --no-log-prefix
	Timestamps bool // -t
}

// Printer writes lines as compose does: "web-1  | text", each container in its colour. It buffers: call Flush when
// nothing more comes for now (Merger.Idle). Its methods are safe for concurrent use.
type Printer struct {
	o PrinterOptions

	mu       sync.Mutex
	out, err *bufio.Writer
	last     *bufio.Writer // written to last
	labels   []string      // in order of registration, which is that of the colours
	prefixes map[string]string
	width    int // of the widest label
	padded   int // width that the prefixes were made for
	stamp    []byte
}

// NewPrinter prints what containers write to their standard output to out, and their standard error to err. Compose's
// logs command writes both to its standard output: hand it in twice for that.
func NewPrinter(out, err io.Writer, o PrinterOptions) *Printer {
	p := &Printer{o: o, out: bufio.NewWriterSize(out, 32<<10), err: bufio.NewWriterSize(err, 32<<10), prefixes: map[string]string{}}
	p.last = p.out
	return p
}

// Register makes labels known before their first lines, so that all prefixes have the width of the widest from the
// beginning, and colours follow the order of the labels and not that of the lines.
func (p *Printer) Register(labels ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range labels {
		p.width = max(p.width, len(l))
	}
	for _, l := range labels {
		p.register(l)
	}
}

func (p *Printer) register(label string) {
	if _, known := p.prefixes[label]; known {
		return
	}
	p.labels = append(p.labels, label)
	from := len(p.labels) - 1
	if p.width = max(p.width, len(label)); p.width != p.padded {
		p.padded, from = p.width, 0
	}
	for i, l := range p.labels[from:] {
		p.prefixes[l] = p.paint(from+i, fmt.Sprintf("%-*s | ", p.width+1, l))
	}
}

// paint gives a text the colour of the n-th label.
func (p *Printer) paint(n int, text string) string {
	if !p.o.Color {
		return text
	}
	return "\x1b[" + palette[n%len(palette)] + "m" + text + "\x1b[0m"
}

// Line prints one line; it is a sink for Merge.
func (p *Printer) Line(s Stream, l Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.out
	if l.Stderr {
		w = p.err
	}
	p.turn(w)
	if !p.o.NoPrefix {
		p.register(s.Label)
		_, _ = w.WriteString(p.prefixes[s.Label])
	}
	if p.o.Timestamps {
		p.stamp = append(l.Time.UTC().AppendFormat(p.stamp[:0], timeLayout), ' ')
		_, _ = w.Write(p.stamp)
	}
	_, _ = w.Write(l.Text)
	_ = w.WriteByte('\n') // a writer that fails says so in Flush
}

// Attaching says whose lines follow, in compose's words, and makes their labels known.
func (p *Printer) Attaching(labels []string) {
	p.Register(labels...)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(p.out)
	_, _ = p.out.WriteString("Attaching to " + strings.Join(labels, ", ") + "\n")
	_ = p.out.Flush()
}

// Status prints news of a container on standard output, in its colour: "web-1 exited with code 3".
func (p *Printer) Status(label, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(p.out)
	p.register(label)
	line := label + " " + text + "\n"
	if p.o.Color {
		for i, l := range p.labels {
			if l == label {
				line = p.paint(i, resetLine+line)
			}
		}
	}
	_, _ = p.out.WriteString(line)
}

// turn flushes the other writer first, so that lines reach a terminal in order.
func (p *Printer) turn(w *bufio.Writer) {
	if p.last != w {
		_ = p.last.Flush()
		p.last = w
	}
}

// Flush writes what is buffered. After an error of the output it returns that and nothing more is written there.
func (p *Printer) Flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	errOut, errErr := p.out.Flush(), p.err.Flush()
	if errOut != nil {
		return fmt.Errorf("logs: write to standard output: %w", errOut)
	}
	if errErr != nil {
		return fmt.Errorf("logs: write to standard error: %w", errErr)
	}
	return nil
}

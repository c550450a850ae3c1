package cli

import (
	"bytes"
	"io"

	"berth/placement"
	"berth/runtime/logs"
	"berth/scheduler"
)

// hookLines prints what a container's hooks write, a line at a time, as docker compose does: "web-1 ->  | migrated".
type hookLines struct {
	printer *logs.Printer // nil: nobody wants to see it
	stream  logs.Stream
	rest    []byte // of a line that has not ended
}

// linesOfHooks begins the output of a container's hooks. Close it.
func linesOfHooks(printer *logs.Printer, ct placement.Container) *hookLines {
	return &hookLines{printer: printer, stream: logs.Stream{Container: ct.Name, Label: logs.Label(ct) + " ->", Host: ct.Host, ID: ct.ID}}
}

// Write prints the lines that are whole.
func (h *hookLines) Write(p []byte) (int, error) {
	h.rest = append(h.rest, p...)
	for {
		line, rest, whole := bytes.Cut(h.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		h.print(line)
		h.rest = rest
	}
}

// Close prints what is left.
func (h *hookLines) Close() error {
	if len(h.rest) > 0 {
		h.print(h.rest)
		h.rest = nil
	}
	return nil
}

func (h *hookLines) print(line []byte) {
	if h.printer != nil {
		h.printer.Line(h.stream, logs.Line{Text: bytes.Clone(bytes.TrimSuffix(line, []byte("\r")))})
		flush(h.printer)()
	}
}

// hookOutput shows what the hooks of a step write among the containers' output.
func (a *attached) hookOutput(s *scheduler.Step) io.WriteCloser {
	lines := linesOfHooks(a.printer, a.container(s, s.ContainerID))
	if !a.o.shows(s.Task.Service) {
		lines.printer = nil
	}
	return lines
}

package scheduler

import (
	"fmt"
	"strconv"
	"strings"
)

// String is the plan as people read it, a line a step: number, kind, object, host (on a cluster), cause, and the
// steps it waits for. The text is stable: the same plan prints the same everywhere.
//
//	0  record
//	1  create network app_default on web1 after 0
//	2  create web.1 on web1 at 10.128.0.1 (new replica) after 0,1
//	3  start web.1 on web1 after 2
func (p *Plan) String() string {
	var b strings.Builder
	width := len(strconv.Itoa(max(len(p.Steps)-1, 0)))
	for i := range p.Steps {
		fmt.Fprintf(&b, "%*d  %s\n", width, p.Steps[i].ID, p.Steps[i].text(p.Cluster))
	}
	return b.String()
}

// String is the step's line in a plan, without number and predecessors.
func (s *Step) String() string {
	c := *s
	c.After = nil
	return c.text(true)
}

func (s *Step) text(host bool) string {
	var b strings.Builder
	word := func(format string, args ...any) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, format, args...)
	}
	word("%s", s.Kind)
	if object := s.object(); object != "" {
		word("%s", object)
	}
	switch s.Kind {
	case Create:
		if s.Replaces != "" {
			word("as %s", s.Name)
		}
	case Leave:
		word("from %s", s.Network.Name)
	case Join:
		word("to %s", s.Network.Name)
	case Rename:
		word("to %s", s.To)
	case Kill:
		if s.Signal != "" {
			word("with %s", s.Signal)
		}
	case Wait:
		word("%s", s.waitsFor())
	case Push:
		if s.Ref != "" {
			word("as %s", s.Ref)
		}
	case Pull:
		if s.Ref != "" {
			word("from %s", s.Ref)
		}
	case Send:
		word("from %s to %s", s.From, s.Host)
	}
	if host && s.Host != "" && s.Kind != Send {
		word("on %s", s.Host)
	}
	if s.Kind == Pull && s.From != "" {
		word("or send it from %s", s.From)
	}
	if len(s.Endpoints) > 0 {
		var ips []string
		for _, e := range s.Endpoints {
			ips = append(ips, e.IP.String())
		}
		word("at %s", strings.Join(ips, ","))
	}
	if s.Optional {
		word("(optional)")
	}
	if s.Why != "" {
		word("(%s)", s.Why)
	}
	if len(s.After) > 0 {
		var ids []string
		for _, a := range s.After {
			ids = append(ids, strconv.Itoa(a))
		}
		word("after %s", strings.Join(ids, ","))
	}
	return b.String()
}

// object is the task where the step has one, else the name.
func (s *Step) object() string {
	if s.Task.Number > 0 {
		return s.Task.String()
	}
	return s.Name
}

func (s *Step) waitsFor() string {
	if s.Running {
		return "until running or healthy"
	}
	switch s.Condition {
	case "service_healthy":
		return "until healthy"
	case "service_completed_successfully":
		return "until completed"
	}
	return "until started"
}

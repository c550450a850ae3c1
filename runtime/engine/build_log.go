package engine

import (
	"encoding/json"
	"regexp"
	"strings"

	control "github.com/moby/buildkit/api/services/control"
)

// buildLog follows the steps of one build.
type buildLog struct {
	news   func(BuildNews)
	steps  map[string]*buildStep // by BuildKit's digest
	last   *buildStep            // of the classic builder: the one under way
	failer *buildStep
}

type buildStep struct {
	number       int
	name         string
	began, ended bool
	partial      string   // a line that has no end yet
	lines        []string // the last of them
}

func (l *buildLog) tell(n BuildNews) {
	if l.news != nil {
		l.news(n)
	}
}

// trace reads one of BuildKit's status messages.
func (l *buildLog) trace(aux json.RawMessage) {
	var raw []byte // base64 in JSON
	var status control.StatusResponse
	if json.Unmarshal(aux, &raw) != nil || status.UnmarshalVT(raw) != nil {
		return // what cannot be read is not shown; the build's result comes by another way
	}
	for _, v := range status.Vertexes {
		s := l.steps[v.Digest]
		if s == nil {
			s = &buildStep{number: len(l.steps) + 1, name: strings.TrimSpace(v.Name)}
			l.steps[v.Digest] = s
		}
		if v.Started != nil && !s.began {
			s.began = true
			l.tell(BuildNews{Number: s.number, Step: s.name, Began: true})
		}
		if v.Completed == nil || s.ended {
			continue
		}
		s.ended = true
		s.flush(l)
		n := BuildNews{Number: s.number, Step: s.name, Ended: true, Cached: v.Cached, Failed: v.Error}
		if v.Started != nil {
			n.Took = v.Completed.AsTime().Sub(v.Started.AsTime()).Seconds()
		}
		if v.Error != "" && l.failer == nil && !strings.Contains(v.Error, "context canceled") {
			l.failer = s
		}
		l.tell(n)
	}
	for _, m := range status.Logs {
		if s := l.steps[m.Vertex]; s != nil {
			s.print(l, string(m.Msg))
		}
	}
}

// print adds to what a step printed.
func (s *buildStep) print(l *buildLog, text string) {
	text = s.partial + strings.ReplaceAll(text, "\r\n", "\n")
	for {
		line, rest, whole := strings.Cut(text, "\n")
		if !whole {
			s.partial = text
			return
		}
		s.line(l, line)
		text = rest
	}
}

func (s *buildStep) line(l *buildLog, line string) {
	line = strings.TrimRight(line, "\r ")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:] // a progress bar's last state
	}
	s.lines = append(s.lines, line)
	s.lines = s.lines[max(0, len(s.lines)-lastLines):]
	l.tell(BuildNews{Number: s.number, Step: s.name, Line: line})
}

func (s *buildStep) flush(l *buildLog) {
	if s.partial != "" {
		s.line(l, s.partial)
		s.partial = ""
	}
}

// failed makes the error of a build that ended with cause.
func (l *buildLog) failed(cause error) error {
	err := &BuildError{Cause: cause}
	step := l.failer
	if step == nil {
		step = l.last
	}
	if step != nil {
		step.flush(l)
		err.Step, err.Lines = step.name, step.lines
	}
	return err
}

// classicStep is how the classic builder announces a step.
var classicStep = regexp.MustCompile(`^Step (\d+/\d+) : (.*)$`)

// classicNoise is what the classic builder says of itself between the output of steps.
var classicNoise = regexp.MustCompile(`^ ---> |^Removing intermediate container |^Successfully (?:built|tagged) `)

// classic reads a piece of the classic builder's output.
func (l *buildLog) classic(text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if m := classicStep.FindStringSubmatch(line); m != nil {
			l.last = &buildStep{number: len(l.steps) + 1, name: "[" + m[1] + "] " + m[2], began: true}
			l.steps[m[1]] = l.last
			l.tell(BuildNews{Number: l.last.number, Step: l.last.name, Began: true})
		} else if l.last != nil && line != "" && !classicNoise.MatchString(line) {
			l.last.line(l, line)
		}
	}
}

// What builders put before the cause, and how they say that a command failed (engines 20.10 to 29).
var (
	buildNoise   = regexp.MustCompile(`^(?:failed to solve(?: with frontend \S+)?: |failed to create LLB definition: |rpc error: code = \w+ desc = |error: )+`)
	commandEnded = regexp.MustCompile(`(?s)^(?:executor failed running \[.*\]: |process ".*" did not complete successfully: )exit code: (\d+)|The command '.*' returned a non-zero code: (\d+)$`)
	fromStep     = regexp.MustCompile(`^\[[^\]]*\] (?:load metadata for|FROM) (\S+)`)
)

// buildCause is a builder's message in its plainest form.
func buildCause(err error) string {
	text := strings.TrimSpace(buildNoise.ReplaceAllString(plain(err.Error()), ""))
	if m := commandEnded.FindStringSubmatch(text); m != nil {
		return "exit code " + m[1] + m[2]
	}
	return text
}

// baseImage is the image that a step fetches; "" for other steps.
func baseImage(step string) string {
	if m := fromStep.FindStringSubmatch(step); m != nil {
		return strings.TrimPrefix(strings.TrimPrefix(m[1], "docker.io/"), "library/")
	}
	return ""
}

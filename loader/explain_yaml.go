package loader

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	atLine     = regexp.MustCompile(`line (\d+)`)
	atLineText = regexp.MustCompile(`(?:\s*(?:\bat )?(?:<unknown position>|\bline \d+(?:, column \d+)?):?)+`)
	duplicate  = regexp.MustCompile(`line (\d+): (mapping key ".*?" already defined at line \d+)`)
)

// syntax reads the line out of a YAML error: the one where the construct begins.
func (e *explainer) syntax(m []string) *Error {
	if d := duplicate.FindStringSubmatch(m[2]); d != nil {
		line, _ := strconv.Atoi(d[1])
		return &Error{File: m[1], Line: line, Err: e.sentence("not valid YAML: %s", d[2])}
	}
	text, _, _ := strings.Cut(m[2], "\n")
	found := &Error{File: m[1], Line: yamlErrorLine(text)}
	text = strings.Trim(atLineText.ReplaceAllString(text, ":"), ": ")
	hint := ""
	if found.Line > 0 && strings.HasPrefix(e.line(m[1], found.Line), "\t") {
		hint = "; indent with spaces, not with tabs"
	}
	found.Err = e.sentence("not valid YAML: %s%s", text, hint)
	return found
}

// yamlErrorLine is the line to look at: where a bracket or quote opens that never closes, else where the reader gave up.
// The parser of the pinned yaml counts lines from 0 and calls the first one unknown; its scanner counts from 1.
func yamlErrorLine(text string) int {
	lines := atLine.FindAllStringSubmatch(text, -1)
	if len(lines) == 0 {
		return 0
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(lines[i][1])
		return n
	}
	switch {
	case strings.HasPrefix(text, "while parsing a flow"):
		if strings.Contains(text, unknownPosition) {
			return 1
		}
		return number(0) + 1
	case strings.HasPrefix(text, "while parsing a block"), strings.HasPrefix(text, "while parsing a node"),
		strings.Contains(text, "did not find expected <document start>"):
		return number(len(lines)-1) + 1
	}
	return number(0)
}

const unknownPosition = "<unknown position>"

// line is the text of a line of a compose file.
func (e *explainer) line(file string, n int) string {
	for _, f := range e.s.files {
		if f.Filename == file {
			if lines := strings.Split(string(f.Content), "\n"); n <= len(lines) {
				return lines[n-1]
			}
		}
	}
	return ""
}

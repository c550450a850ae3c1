package placement

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseError is a constraint or preference that cannot be read.
type ParseError struct {
	What    string // what Input is: "constraint", "preference"; "" is a constraint
	Input   string // all that was to be read
	Offset  int    // byte offset in Input of the character that is wrong; len(Input) when something is missing
	Problem string // what is wrong there
}

// Error is one sentence with the position counted in characters from 1.
func (e *ParseError) Error() string {
	return fmt.Sprintf("%s %q, character %d: %s", cmp.Or(e.What, "constraint"), e.Input, e.column()+1, e.Problem)
}

// Pointer is the input and, under it, a caret at the character that is wrong; for a terminal.
func (e *ParseError) Pointer() string {
	return e.Input + "\n" + strings.Repeat(" ", e.column()) + "^"
}

func (e *ParseError) column() int { return utf8.RuneCountInString(e.Input[:e.Offset]) }

// parser reads its input from at on.
type parser struct {
	in   string
	at   int
	what string // ParseError.What
}

func (p *parser) fail(at int, format string, args ...any) error {
	return &ParseError{What: p.what, Input: p.in, Offset: at, Problem: fmt.Sprintf(format, args...)}
}

// text refuses what is no text, so that nobody has to think of it below.
func (p *parser) text() error {
	for at, r := range p.in {
		if _, n := utf8.DecodeRuneInString(p.in[at:]); r == utf8.RuneError && n == 1 {
			return p.fail(at, "this byte is not UTF-8")
		}
	}
	return nil
}

func (p *parser) space() {
	for p.at < len(p.in) {
		r, n := utf8.DecodeRuneInString(p.in[p.at:])
		if !unicode.IsSpace(r) {
			return
		}
		p.at += n
	}
}

// take goes past a sign if it comes next.
func (p *parser) take(sign string) bool {
	if !strings.HasPrefix(p.in[p.at:], sign) {
		return false
	}
	p.at += len(sign)
	return true
}

// word goes past a word if it comes next and ends there.
func (p *parser) word(word string) bool {
	rest, ok := strings.CutPrefix(p.in[p.at:], word)
	if r, _ := utf8.DecodeRuneInString(rest); !ok || rest != "" && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
		return false
	}
	p.at += len(word)
	return true
}

// next names the coming character for a message.
func (p *parser) next() string {
	if p.at == len(p.in) {
		return "the end"
	}
	r, _ := utf8.DecodeRuneInString(p.in[p.at:])
	return strconv.QuoteRune(r)
}

// number reads a whole number from 1 to limit.
func (p *parser) number(limit int, what string) (int, error) {
	start := p.at
	for p.at < len(p.in) && p.in[p.at] >= '0' && p.in[p.at] <= '9' {
		p.at++
	}
	n, err := strconv.Atoi(p.in[start:p.at])
	if err != nil || n < 1 || n > limit {
		return 0, p.fail(start, "%s is a whole number from 1 to %d", what, limit)
	}
	return n, nil
}

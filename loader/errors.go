package loader

import (
	"strconv"
	"strings"
)

// Error is what is wrong in a compose file or an inventory, and where: one sentence when printed,
//
//	load docker-compose.yml:7: services.web.imagee: unknown key; did you mean image?
type Error struct {
	File string // relative to the working folder when inside it; "-" for standard input, "" when no one file is to blame
	Line int    // from 1; 0 when unknown
	Key  string // path of the key, dotted; "" when no one key is to blame
	Err  error  // cause and what to do
}

// Error is the sentence.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("load")
	if e.File != "" {
		b.WriteByte(' ')
		if e.File == "-" {
			b.WriteString("standard input")
		} else {
			b.WriteString(e.File)
		}
		if e.Line > 0 {
			b.WriteString(":" + strconv.Itoa(e.Line))
		}
	}
	b.WriteString(": ")
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

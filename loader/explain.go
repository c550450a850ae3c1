package loader

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v3"
)

// explain turns an error of compose-go, which seldom says where, into one with file, line and key. It knows
// compose-go's messages by their text, since they have no types; TestErrorsNameFileLineAndKey holds it to the pinned
// version. A message that it does not know passes through with whatever place the text names.
func (s *sources) explain(err error) error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	e := &explainer{s: s, cause: err}
	found := e.apply(strings.TrimSuffix(err.Error(), ": invalid compose project"))
	if found == nil {
		return &Error{Err: err}
	}
	return found
}

// apply is the outcome of the first rule that fits, or nil. Interpolation reports all that is wrong at once, in map
// order: the first in the files is explained, the others are counted.
func (e *explainer) apply(text string) *Error {
	if parts := interpolation.FindAllStringIndex(text, -1); len(parts) > 1 {
		var first *Error
		for i, at := range parts {
			end := len(text)
			if i+1 < len(parts) {
				end = parts[i+1][0]
			}
			found := e.apply(strings.TrimSpace(text[at[0]:end]))
			if found != nil && (first == nil || found.Line < first.Line || found.Line == first.Line && found.Key < first.Key) {
				first = found
			}
		}
		if first != nil {
			first.Err = e.sentence("%s (and %d more like this)", first.Err, len(parts)-1)
		}
		return first
	}
	for _, rule := range rules() {
		if m := rule.re.FindStringSubmatch(text); m != nil {
			if found := rule.explain(e, m); found != nil {
				found.File = e.s.opts.shown(found.File)
				return found
			}
		}
	}
	return nil
}

var interpolation = regexp.MustCompile(`(?m)^(?:error while interpolating|invalid interpolation format for) `)

// explainer has what the rules need; docs are parsed when first asked for.
type explainer struct {
	s     *sources
	cause error
	docs  []document
}

func (e *explainer) documents() []document {
	if e.docs == nil {
		e.docs = e.s.documents()
	}
	return e.docs
}

// names lists the keys of a top-level section in all files of the project.
func (e *explainer) names(section string) []string {
	var names []string
	for _, d := range e.documents() {
		if !d.apart {
			_, n := field(d.root, section)
			names = append(names, keys(n)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// at is an error at a key.
func (e *explainer) at(key, text string, args ...any) *Error {
	p := find(e.documents(), key)
	if p.file == "" && len(e.s.files) == 1 {
		p.file = e.s.files[0].Filename
	}
	text = fmt.Sprintf(text, args...)
	if p.depth > len(key) && p.node != nil && p.node.Kind == yaml.ScalarNode {
		text += e.unset(p.node.Value)
	}
	return &Error{File: p.file, Line: p.line, Key: key, Err: &cause{text, e.cause}}
}

// inList is an error at the first item of a list that has bad in it.
func (e *explainer) inList(key, bad, text string) *Error {
	found := e.at(key, "%s", text)
	if p := find(e.documents(), key); p.depth > len(key) {
		if n := scalar(p.node, func(v string) bool { return strings.Contains(v, bad) }, 0); n != nil {
			found.Line = n.Line
		}
	}
	return found
}

// firstBad is an error at the first short form below `services.<any>.<key>` that check refuses once its variables are
// filled in.
func (e *explainer) firstBad(key string, check func(string) error) *Error {
	var at string
	var p place
	_, _ = withWarnings(func() error { // Substitute logs unset variables, which the load has done already
		at, p = findValue(e.documents(), key, func(v string) bool {
			filled, err := template.Substitute(v, func(name string) (string, bool) {
				value, ok := e.s.env[name]
				return value, ok
			})
			return err == nil && check(filled) != nil
		})
		return nil
	})
	if at == "" {
		return nil
	}
	return &Error{File: p.file, Line: p.line, Key: at,
		Err: e.sentence("%q: %s%s", p.node.Value, e.cause, e.unset(p.node.Value))}
}

// unset is a hint at variables in a value that have none, the commonest cause of a bad one.
func (e *explainer) unset(value string) string {
	var names []string
	for name, v := range template.ExtractVariables(map[string]any{"": value}, template.DefaultPattern) {
		if _, ok := e.s.env[name]; !ok && name != "" && v.DefaultValue == "" && !v.Required {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "; not set: " + strings.Join(names, ", ")
}

// sentence is a message that still unwraps to what compose-go said.
func (e *explainer) sentence(text string, args ...any) error {
	return &cause{fmt.Sprintf(text, args...), e.cause}
}

type cause struct {
	text string
	err  error
}

func (c *cause) Error() string { return c.text }
func (c *cause) Unwrap() error { return c.err }

var quoted = regexp.MustCompile(`'([^']*)'`)

// unknownKey finds the first key, in file order, that the schema does not know. compose-go names the mapping and its
// unknown keys in one form ("additional properties"), and one such key in the other ("false schema").
func (e *explainer) unknownKey(m []string) *Error {
	parent := m[2]
	if m[3] == "" {
		parts := split(m[2], e.names)
		parent = strings.Join(parts[:len(parts)-1], ".")
	}
	parts := split(parent, e.names)
	if parent == "" {
		parts = nil
	}
	known := schemaKeys(parts)
	name := ""
	if q := quoted.FindStringSubmatch(m[3]); q != nil {
		name = q[1]
	} else {
		name = strings.TrimPrefix(m[2], parent+".")
	}
	if len(known) > 0 {
		if first := e.firstUnknown(parent, known); first != "" {
			name = first
		}
	}
	key := strings.TrimPrefix(parent+"."+name, ".")
	if len(known) == 0 && len(parts) == 1 {
		return e.at(key, "%q is no valid name; names have letters, digits, '.', '_' and '-' only", name)
	}
	hint := didYouMean(name, known)
	if now, ok := formerly[name]; ok && len(parts) == 2 && parts[0] == "services" {
		hint = "; write " + now
	}
	if parent == "" && hint == "" && e.isService(name) {
		hint = "; it looks like a service: put it under services:"
	}
	return e.at(key, "unknown key%s", hint)
}

// formerly are keys of services that the first formats had, and what says it today.
var formerly = map[string]string{
	"net": "network_mode: or networks:", "log_driver": "driver: under logging:", "log_opt": "options: under logging:",
	"dockerfile": "dockerfile: under build:", "volume_driver": "driver: at the volume, under volumes: of the file",
}

// isService reports whether a mapping has what only services have: one that is indented wrongly, or of a file of the
// first format, where they stood at the top.
func (e *explainer) isService(path string) bool {
	p := find(e.documents(), path)
	_, image := field(p.node, "image")
	_, build := field(p.node, "build")
	return image != nil || build != nil
}

func (e *explainer) firstUnknown(parent string, known []string) string {
	for _, d := range e.documents() {
		n := d.root
		if parent != "" {
			p := walk(d.root, parent, 0)
			if p.depth != len(parent)+1 {
				continue
			}
			n = p.node
		}
		for _, k := range keys(n) {
			if k != "<<" && !strings.HasPrefix(k, "x-") && !slices.Contains(known, k) {
				return k
			}
		}
	}
	return ""
}

// undefinedService tells a misspelt dependency from one that a profile switched off, and from an implied one.
func (e *explainer) undefinedService(m []string) *Error {
	service, wanted := m[1], m[2]
	key := "services." + service + ".depends_on." + wanted
	if p := find(e.documents(), key); p.depth < len(key) {
		for _, k := range []string{"links", "volumes_from"} {
			if p := find(e.documents(), "services."+service+"."+k+"."+wanted); p.depth > len("services."+service+"."+k)+1 {
				key = "services." + service + "." + k + "." + wanted
			}
		}
		for _, k := range []string{"network_mode", "ipc", "pid", "uts", "cgroup"} {
			if p := find(e.documents(), "services."+service+"."+k); p.node != nil && p.node.Value == "service:"+wanted {
				key = "services." + service + "." + k
			}
		}
	}
	known := e.names("services")
	if slices.Contains(known, wanted) {
		profiles := ""
		if p := find(e.documents(), "services."+wanted+".profiles"); p.node != nil {
			for _, n := range items(p.node) {
				profiles += " --profile " + n.Value
			}
		}
		return e.at(key, "service %s depends on undefined service %s: it is switched off by its profiles; turn it on with%s, or set required: false",
			service, wanted, cmp.Or(profiles, " --profile"))
	}
	return e.at(key, "service %s depends on undefined service %s%s", service, wanted,
		cmp.Or(didYouMean(wanted, known), "; the file has "+strings.Join(known, ", ")))
}

// missingFile finds who wanted a file that is not there: an include or an extends.
func (e *explainer) missingFile(m []string) *Error {
	names := func(v string) bool {
		return v != "" && (v == m[1] || filepath.Base(v) == filepath.Base(m[1]))
	}
	if key, p := findValue(e.documents(), "extends", names); key != "" {
		return &Error{File: p.file, Line: p.line, Key: key, Err: e.sentence("file %s is not there", e.s.opts.shown(m[1]))}
	}
	for _, d := range e.documents() {
		_, include := field(d.root, "include")
		if n := scalar(include, names, 0); n != nil {
			return &Error{File: d.file, Line: n.Line, Key: "include", Err: e.sentence("file %s is not there", e.s.opts.shown(m[1]))}
		}
	}
	return nil
}

// dotenvError gives an env file's error its file and line.
func dotenvError(o *Options, err error) error {
	if m := inDotenv.FindStringSubmatch(err.Error()); m != nil {
		found := unreadable(m[1], m[2], m[3], err)
		found.File = o.shown(found.File)
		return found
	}
	return &Error{Err: err}
}

// unreadable is the error about a line of an env file. Of a quote that never ends, compose-go names the line where the file
// ends.
func unreadable(file, at, what string, err error) *Error {
	line, _ := strconv.Atoi(at)
	if value, ok := strings.CutPrefix(what, unterminated); ok {
		value, _, _ = strings.Cut(value, "\n")
		content, _ := os.ReadFile(file) // compose-go has just read it
		for i, text := range strings.Split(string(content), "\n") {
			if strings.HasSuffix(strings.TrimSpace(text), strings.TrimSpace(value)) {
				line = i + 1
				break
			}
		}
		what = strings.TrimSpace(unterminated) + " " + strings.TrimSpace(value)
	}
	return &Error{File: file, Line: line, Err: &cause{what, err}}
}

const unterminated = "unterminated quoted value "

var inDotenv = regexp.MustCompile(`(?s)^failed to read (.+?): line (\d+): (.*)$`)

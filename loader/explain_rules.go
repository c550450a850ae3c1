package loader

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
)

// rule knows one form of compose-go's messages.
type rule struct {
	re      *regexp.Regexp
	explain func(e *explainer, m []string) *Error // nil: this rule does not fit after all
}

const section = `(?:services|networks|volumes|secrets|configs|models|jobs|include|name|version)`

var rules = sync.OnceValue(func() []rule {
	return []rule{
		{regexp.MustCompile(`(?s)^failed to parse (.+?): (?:yaml: )?(.*)$`), (*explainer).syntax},
		{regexp.MustCompile(`^validating (.+?): (\S*) ?(?:additional properties ('.*') not allowed|false schema)$`), (*explainer).unknownKey},
		{regexp.MustCompile(`^validating (.+?): (\S+) (.*)$`), func(e *explainer, m []string) *Error {
			return e.at(m[2], "%s", grammar(m[3]))
		}},
		{regexp.MustCompile(`(?s)^invalid interpolation format for (\S+)\.\n?(.*)$`), func(e *explainer, m []string) *Error {
			return e.at(m[1], "invalid interpolation format; write ${NAME}, and $$ for a plain $")
		}},
		{regexp.MustCompile(`^error while interpolating (\S+): (?:failed to cast to expected type: (?:strconv\.\w+: parsing (".*"): .*)?)?(.*)$`), func(e *explainer, m []string) *Error {
			if list, _, ok := strings.Cut(m[1], ".[]"); ok {
				bad := ""
				if v := requiredVariable.FindStringSubmatch(m[3]); v != nil {
					bad = v[1]
				}
				return e.inList(list, bad, m[3])
			}
			if m[2] != "" {
				return e.at(m[1], "%s is not a number or switch as this key wants it", m[2])
			}
			return e.at(m[1], "%s", cmp.Or(m[3], "this value is of the wrong type"))
		}},
		{regexp.MustCompile(`(?s)^decoding failed due to the following error\(s\):\s*'(\w+)\[(.+?)\]\.?([^']*)' (.*)$`), func(e *explainer, m []string) *Error {
			detail, _, _ := strings.Cut(strings.TrimSpace(m[4]), "\n")
			key := strings.TrimSuffix(m[1]+"."+m[2]+"."+indexes.ReplaceAllString(m[3], ".$1"), ".")
			if n := notNumber.FindStringSubmatch(detail); n != nil {
				detail = n[1] + " is not a number"
			}
			return e.at(key, "%s", detail)
		}},
		{regexp.MustCompile(`^service "(.+?)" depends on undefined service "(.+?)"$`), (*explainer).undefinedService},
		{regexp.MustCompile(`^service "(.+?)" refers to undefined (?:build )?(network|volume|secret|config) (.+)$`), func(e *explainer, m []string) *Error {
			top := m[2] + "s"
			return e.at("services."+m[1]+"."+top+"."+m[3], "%s %s is not defined%s",
				m[2], m[3], cmp.Or(didYouMean(m[3], e.names(top)), "; declare it under "+top+":"))
		}},
		{regexp.MustCompile(`^service "(.+?)" declares mutualy exclusive dockerfile and dockerfile_inline$`), func(e *explainer, m []string) *Error {
			return e.at("services."+m[1]+".build.dockerfile_inline", "dockerfile and dockerfile_inline exclude each other; drop one of them")
		}},
		{regexp.MustCompile("^service (.+?) declares mutually exclusive `network_mode` and `networks`$"), func(e *explainer, m []string) *Error {
			return e.at("services."+m[1]+".network_mode", "network_mode and networks exclude each other; drop one of them")
		}},
		{regexp.MustCompile(`^service "(.+?)" declares (unknown|non-buildable) service "(.+?)" as additional contexts (.+)$`), func(e *explainer, m []string) *Error {
			key := "services." + m[1] + ".build.additional_contexts." + m[4]
			if m[2] == "unknown" {
				return e.at(key, "service %s is not defined%s", m[3], didYouMean(m[3], e.names("services")))
			}
			return e.at(key, "service %s has no build:, so that it is no context", m[3])
		}},
		{regexp.MustCompile(`^dependency cycle detected: ((.+?) -> (.+?)(?: -> .*)?)$`), func(e *explainer, m []string) *Error {
			return e.at("services."+m[2]+".depends_on."+m[3], "dependency cycle: %s; remove one of these dependencies", m[1])
		}},
		{regexp.MustCompile(`^service "(.+?)" has neither an image nor a build context specified$`), func(e *explainer, m []string) *Error {
			return e.at("services."+m[1], "there is neither an image nor a build context; give it image: or build:")
		}},
		{regexp.MustCompile(`^(env|label) file (.+?) not found: `), func(e *explainer, m []string) *Error {
			key, p := findValue(e.documents(), m[1]+"_file", func(v string) bool {
				return v != "" && (v == m[2] || strings.HasSuffix(m[2], string(filepath.Separator)+filepath.Clean(v)) ||
					filepath.Base(v) == filepath.Base(m[2]))
			})
			hint := "write it"
			if m[1] == "env" {
				hint += ", or set required: false"
			}
			return &Error{File: p.file, Line: p.line, Key: key, Err: e.sentence("%s file %s not found; %s", m[1], m[2], hint)}
		}},
		{regexp.MustCompile(`^unsupported env_file format "(.+?)"$`), func(e *explainer, m []string) *Error {
			key, p := findValue(e.documents(), "env_file", func(v string) bool { return v == m[1] })
			return &Error{File: p.file, Line: p.line, Key: key, Err: e.sentence("%q is no format of an env file; want raw, or leave format: out", m[1])}
		}},
		{inDotenv, func(e *explainer, m []string) *Error { return unreadable(m[1], m[2], m[3], e.cause) }},
		// compose-go swaps the service and the attribute in this one.
		{regexp.MustCompile(`^services\.(scale|deploy\.replicas): can't set container_name and (.+) as container name must be unique$`), func(e *explainer, m []string) *Error {
			return e.at("services."+m[2]+".container_name", "can't set container_name and %s, as a container name must be unique; drop container_name", m[1])
		}},
		{regexp.MustCompile(`^non-string key (?:at top level|in (\S+)): (.*)$`), func(e *explainer, m []string) *Error {
			return e.at(strings.Trim(m[1]+"."+m[2], "."), "keys are strings; put this one in quotes")
		}},
		{regexp.MustCompile(`^cannot extend service "(.+?)" in (.+?): service "(.+?)" not found(?: in (.+))?$`), func(e *explainer, m []string) *Error {
			return e.at("services."+m[1]+".extends", "service %s is not defined in %s", m[3], e.s.opts.shown(cmp.Or(m[4], m[2])))
		}},
		{regexp.MustCompile(`(?s)^Circular reference:\n  (\S+) in (.+?)\n(.*)$`), func(e *explainer, m []string) *Error {
			chain := []string{m[1]}
			for _, line := range strings.Split(m[3], "\n") {
				if f := strings.Fields(line); len(f) > 1 {
					chain = append(chain, f[1])
				}
			}
			return e.at("services."+m[1]+".extends", "services extend each other in a cycle: %s", strings.Join(chain, " -> "))
		}},
		{regexp.MustCompile(`(?s)^include cycle detected:\n(.*)$`), func(e *explainer, m []string) *Error {
			return e.at("include", "files include each other in a cycle: %s", strings.ReplaceAll(m[1], "\n include ", " -> "))
		}},
		{regexp.MustCompile(`^(?:open|stat) (.+?): no such file or directory$`), (*explainer).missingFile},
		{regexp.MustCompile(`^invalid mount config for type "bind": field Source must not be empty$`), func(e *explainer, _ []string) *Error {
			for _, name := range e.names("services") {
				key := "services." + name + ".volumes"
				p := find(e.documents(), key)
				for i, mount := range items(p.node) {
					_, kind := field(mount, "type")
					if _, source := field(mount, "source"); source == nil && kind != nil && kind.Value == types.VolumeTypeBind {
						return &Error{File: p.file, Line: mount.Line, Key: key + "." + strconv.Itoa(i), Err: e.sentence("a bind mount needs a source")}
					}
				}
			}
			return nil
		}},
		{regexp.MustCompile(`^invalid spec: |^invalid empty volume spec`), func(e *explainer, _ []string) *Error {
			return e.firstBad("volumes", func(v string) error { _, err := format.ParseVolume(v); return err })
		}},
		{regexp.MustCompile(`^(?:invalid|no port specified|conflicting|bad)\b`), func(e *explainer, _ []string) *Error {
			return e.firstBad("ports", func(v string) error { _, err := types.ParsePortConfig(v); return err })
		}},
		{regexp.MustCompile(`^service (?:volume|ports|device) (\S+)\.\[(\d+)\] is (missing a .* target.*)$`), func(e *explainer, m []string) *Error {
			return e.at(m[1]+"."+m[2], "%s", m[3])
		}},
		{regexp.MustCompile(`^((?:services|jobs)\.\S+?)\.\[\](?:\.\S+)?: (.*)$`), func(e *explainer, m []string) *Error {
			return e.at(m[1], "%s", m[2])
		}},
		{regexp.MustCompile(`^(` + section + `(?:\.[^\s:]+)?):? (.*)$`), func(e *explainer, m []string) *Error {
			return e.at(indexes.ReplaceAllString(m[1], ".$1"), "%s", grammar(m[2]))
		}},
		{regexp.MustCompile(`^healthcheck\.test must start`), func(e *explainer, m []string) *Error {
			for _, name := range e.names("services") {
				key := "services." + name + ".healthcheck.test"
				if p := find(e.documents(), key); p.depth > len(key) {
					test := items(p.node)
					if len(test) > 0 && !slices.Contains([]string{"CMD", "CMD-SHELL", "NONE"}, test[0].Value) {
						return &Error{File: p.file, Line: p.line, Key: key, Err: e.cause}
					}
				}
			}
			return nil
		}},
		{regexp.MustCompile(`^(?:empty compose file|top-level object must be a mapping)$`), func(e *explainer, m []string) *Error {
			return &Error{File: e.s.files[0].Filename, Err: e.sentence("%s; it needs services:", m[0])}
		}},
		{regexp.MustCompile(`^project name must not be empty$`), func(e *explainer, m []string) *Error {
			return &Error{Err: e.sentence("project name can't be empty, and folder %s gives none; pass -p NAME", e.s.dir)}
		}},
	}
})

var notNumber = regexp.MustCompile(`^strconv\.\w+: parsing (".*"):`)

var requiredVariable = regexp.MustCompile(`^required variable (\w+) `)

var indexes = regexp.MustCompile(`\.?\[(\w+)\]`)

// grammar mends "must be a array".
func grammar(s string) string {
	return strings.NewReplacer("must be a array", "must be an array", "must be a integer", "must be an integer").Replace(s)
}

package address

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Ship makes of an address the one that a host's agent uses, and the files that it takes there, by name: those that the
// options name, under the names in Files. extra are contents of options that the address does not have, such as a token
// from the environment.
func Ship(raw, dir string, extra map[string]string) (address string, files map[string][]byte, err error) {
	where, query, _ := strings.Cut(raw, "?")
	options, err := url.ParseQuery(query)
	if err != nil {
		return "", nil, fmt.Errorf("store: %s: its options: %w", Redact(raw), err)
	}
	files = map[string][]byte{}
	for option, name := range Files {
		path := options.Get(option)
		switch {
		case path == "" && extra[option] == "":
			continue
		case path == "":
			files[name] = []byte(extra[option])
		default:
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			if files[name], err = os.ReadFile(path); err != nil {
				return "", nil, fmt.Errorf("store: option %s: %w", option, err)
			}
		}
		options.Set(option, name)
	}
	if len(options) > 0 {
		where += "?" + options.Encode()
	}
	return where, files, nil
}

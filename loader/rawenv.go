package loader

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// rawEnv is the env_file format "raw": the lines of `docker run --env-file`, without quotes or interpolation
// (docker/cli pkg/kvfile). A key without "=" takes its value from the environment, and is left out when that has none.
func rawEnv(r io.Reader, filename string, vars map[string]string, lookup func(string) (string, bool)) error {
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		line := in.Bytes()
		if !utf8.Valid(line) {
			return fmt.Errorf("env file %s:%d: this line is not UTF-8", filename, n)
		}
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		text := strings.TrimLeftFunc(string(line), unicode.IsSpace)
		if text == "" || text[0] == '#' {
			continue
		}
		key, value, set := strings.Cut(text, "=")
		if key == "" {
			return fmt.Errorf("env file %s:%d: there is no variable name before the =", filename, n)
		}
		if strings.ContainsFunc(key, unicode.IsSpace) {
			return fmt.Errorf("env file %s:%d: variable name %q has white space in it", filename, n, key)
		}
		if !set {
			if lookup == nil {
				continue
			}
			if value, set = lookup(key); !set {
				continue
			}
		}
		vars[key] = value
	}
	return in.Err()
}

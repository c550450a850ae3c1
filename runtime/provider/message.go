package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// message is one of what a program writes on its standard output.
type message struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// reader takes in the messages of a call.
type reader struct {
	call      *Call
	variables map[string]string
}

// read ends with the output, or with the first message that says that the call failed. No error repeats what it was about:
// that may be the value of a variable.
func (r *reader) read(out stream) error {
	decoder := json.NewDecoder(out)
	for n := 1; ; n++ {
		var m message
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("message %d of its output is not JSON with a type and a message; look what it writes on its standard output", n)
		}
		if err := r.take(m, n); err != nil {
			return err
		}
	}
}

func (r *reader) take(m message, n int) error {
	switch m.Type {
	case "info":
		if r.call.Info != nil {
			r.call.Info(m.Message)
		}
	case "debug": // for those who write the provider
	case "error":
		if m.Message == "" {
			return errors.New("it failed and did not say why")
		}
		return errors.New(m.Message)
	case "setenv", "rawsetenv":
		name, value, ok := strings.Cut(m.Message, "=")
		if !ok || name == "" {
			return fmt.Errorf("message %d of its output sets no variable; it has to say NAME=VALUE", n)
		}
		if m.Type == "setenv" {
			name = strings.ToUpper(r.call.Service) + "_" + name
		}
		r.variables[name] = value
	default:
		return fmt.Errorf("message %d of its output is of type %q; want info, error, setenv or debug", n, m.Type)
	}
	return nil
}

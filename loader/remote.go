package loader

import (
	"context"
	"errors"
	"strings"
)

var errRemote = errors.New("compose files are read from this machine only; fetch it first and name the local copy")

// isRemote reports whether docker compose would fetch the reference by git or from a registry.
func isRemote(path string) bool {
	for _, prefix := range []string{"https://", "http://", "git://", "ssh://", "git@", "oci://", "github.com/"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// refuseRemote is the compose-go resource loader that turns a remote `include` or `extends` into a clear error rather
// than a file that is not there.
type refuseRemote struct{}

func (refuseRemote) Accept(path string) bool { return isRemote(path) }

func (refuseRemote) Load(_ context.Context, path string) (string, error) {
	return "", &Error{File: path, Err: errRemote}
}

func (refuseRemote) Dir(path string) string { return path }

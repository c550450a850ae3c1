package loader

import (
	"io"
	"path/filepath"
	"strconv"
	"strings"
)

// Options says which project to load. The process's own environment, folder and standard input are not looked at:
// main hands them in.
type Options struct {
	// Files are the compose files of -f in order, relative to WorkingDir; "-" reads Stdin. Empty: COMPOSE_FILE, else
	// the search upward from the project folder.
	Files []string
	// Stdin is what "-" reads; nil makes "-" an error.
	Stdin io.Reader
	// ProjectName is -p; "" follows COMPOSE_PROJECT_NAME, then name:, then the folder's name.
	ProjectName string
	// ProjectDir is --project-directory; "" is the folder of the first compose file.
	ProjectDir string
	// EnvFiles are the files of --env-file; empty: COMPOSE_ENV_FILES, else .env.
	EnvFiles []string
	// Profiles are those of --profile; empty: COMPOSE_PROFILES. "*" is all.
	Profiles []string
	// Services are those named on the command line: their profiles become active, and the project is cut down to them
	// and what they depend on, as docker compose does. Empty is all services.
	Services []string
	// Whole keeps the other services too: Services only makes profiles active.
	Whole bool
	// Environ is the environment as os.Environ has it: "KEY=value".
	Environ []string
	// WorkingDir is the absolute folder that the command was started in.
	WorkingDir string

	// AllResources keeps networks, volumes, secrets and configs that no service uses (--all-resources).
	AllResources bool
	// Compatibility is --compatibility; COMPOSE_COMPATIBILITY sets it too.
	Compatibility bool
	// Cluster is true with an inventory of two hosts or more: what cannot work there is refused, and relative bind mounts
	// become what can be sent to the hosts.
	Cluster bool
	// Seen remembers inputs that are known to be valid; nil checks every time.
	Seen Seen
	// NoContents leaves the content of relative bind mounts unread, for commands that make no container: config hashes and
	// the names of volumes that are only read then are not those of the content.
	NoContents bool

	// The rest is for `config` only.

	NoInterpolate    bool // leave ${VARIABLES} as they are; for LoadModel, Load refuses it
	NoNormalize      bool // leave out implied values: default networks, names
	NoPathResolution bool // leave relative paths relative
	NoConsistency    bool // do not check that what is referred to exists
	NoEnvResolution  bool // leave env_file in place instead of reading it into environment

	NoDefaultPlatform bool // leave DOCKER_DEFAULT_PLATFORM alone: it is no part of what `config` prints
}

// abs is a path of the command line made absolute.
func (o *Options) abs(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(o.WorkingDir, path)
}

// shown is a path as messages print it: relative to the working folder when it lies inside.
func (o *Options) shown(path string) string {
	if rel, err := filepath.Rel(o.WorkingDir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// boolean reads a COMPOSE_* switch the way docker compose does: y and what strconv.ParseBool takes, anything else is
// false.
func boolean(s string) bool {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "y" {
		return true
	}
	b, _ := strconv.ParseBool(s)
	return b
}

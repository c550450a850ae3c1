package provider

import (
	"os"
	"path/filepath"
	"runtime"

	"github.com/docker/cli/cli/config"
)

// Folders are those of docker's plugins, in the order in which docker searches them: those that its configuration names
// (cliPluginsExtraDirs), the user's, and the system's.
func Folders() []string {
	var all []string
	if c, err := config.Load(config.Dir()); err == nil { // one that cannot be read names none
		all = append(all, c.CLIPluginsExtraDirs...)
	}
	all = append(all, filepath.Join(config.Dir(), "cli-plugins"))
	if runtime.GOOS == "windows" {
		return append(all, filepath.Join(os.Getenv("ProgramData"), "Docker", "cli-plugins"),
			filepath.Join(os.Getenv("ProgramFiles"), "Docker", "cli-plugins"))
	}
	return append(all, "/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins",
		"/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins")
}

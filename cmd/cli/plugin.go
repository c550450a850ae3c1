package cli

import (
	"encoding/json"
	"net"
	"sync"

	"github.com/urfave/cli/v2"

	"berth/runtime/engine"
)

// pluginCommand tells docker what this plugin is; nobody types it.
func pluginCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: pluginMetadata, Hidden: true, Usage: "what the docker command line asks its plugins",
		Action: func(*cli.Context) error {
			version := buildVersion()
			if s.call.compose {
				version = "v" + engine.ComposeVersion // what "docker info" says of compose, and tools ask there
			}
			return json.NewEncoder(s.env.Stdout).Encode(struct {
				SchemaVersion    string
				Vendor           string
				Version          string
				ShortDescription string
			}{"0.1.0", "berth", version, "Run a docker-compose file on many Docker hosts"})
		},
	}
}

// pluginSocket names the socket by which docker ends a plugin. A terminal sends its signals to both; those that somebody
// else sends reach docker alone, and it closes the socket then.
const pluginSocket = "DOCKER_CLI_PLUGIN_SOCKET"

// followDocker calls interrupt when the docker command line that runs this plugin was told to end. stop waits for its
// goroutine.
func followDocker(env Env, interrupt func()) (stop func()) {
	address := env.Getenv(pluginSocket)
	if address == "" {
		return func() {}
	}
	conn, err := net.Dial("unix", address)
	if err != nil {
		return func() {} // docker is gone, or was another's: nothing to follow
	}
	var reader sync.WaitGroup
	stopping := make(chan struct{})
	reader.Go(func() {
		for b := make([]byte, 64); ; {
			if _, err := conn.Read(b); err == nil {
				continue
			}
			select {
			case <-stopping:
			default:
				interrupt()
			}
			return
		}
	})
	return func() {
		close(stopping)
		_ = conn.Close()
		reader.Wait()
	}
}

// Command berth runs an ordinary docker-compose file on many Docker hosts.
package main

import (
	"os"

	_ "berth/cmd/berth/collector"
	"berth/cmd/cli"
)

func main() {
	os.Exit(cli.Main(os.Args, cli.System()))
}

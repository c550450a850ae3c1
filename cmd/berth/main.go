// Command berth runs an ordinary docker-compose file on many Docker hosts.
package main

import (
	"os"
	"runtime/debug"

	"berth/cmd/cli"
)

func main() {
	// A command lives for some milliseconds: without this it would spend a quarter of them on the garbage of a heap of a few
	// megabytes. An agent lives for months.
	if os.Getenv("GOGC") == "" && (len(os.Args) < 2 || os.Args[1] != "agent") {
		debug.SetGCPercent(400)
	}
	os.Exit(cli.Main(os.Args, cli.System()))
}

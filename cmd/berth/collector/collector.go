// Package collector is imported for its effect: it makes the garbage collector wait in a short command. A command lives for some
// milliseconds: else it would spend a quarter of them on the garbage of a heap of a few megabytes, twice before main begins.
// An agent lives for months, and keeps Go's own setting, as does who sets GOGC.
//
// Go initialises packages in the order of their paths as far as their imports allow, so this one comes before the libraries
// whose initialisation makes that garbage; it must import no more than it does.
package collector

import (
	"os"
	"runtime/debug"
)

// percent is GOGC of a command: with a few megabytes in use, the next collection comes at some 20 MB.
const percent = 400

func init() {
	if os.Getenv("GOGC") == "" && (len(os.Args) < 2 || os.Args[1] != "agent") {
		debug.SetGCPercent(percent)
	}
}

//go:build !unix

package cli

import (
	"os"
	"syscall"
)

// forwarded are the signals that a process in a container gets besides SIGINT and SIGTERM when berth gets them.
func forwarded() []os.Signal { return []os.Signal{syscall.SIGHUP} }

//go:build unix

package console

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyResize lets c know when the terminal's size changes.
func notifyResize(c chan<- os.Signal) { signal.Notify(c, syscall.SIGWINCH) }

//go:build !unix

package console

import "os"

// notifyResize does nothing where a change of size is no signal: the container keeps the size it began with.
func notifyResize(chan<- os.Signal) {}

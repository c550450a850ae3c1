//go:build unix

package watch

import "syscall"

// errTooMany is what the kernel says when it watches no more.
var errTooMany error = syscall.ENOSPC

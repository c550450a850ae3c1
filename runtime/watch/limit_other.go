//go:build !unix

package watch

import "errors"

// errTooMany is known on unix only.
var errTooMany = errors.New("too many watches")

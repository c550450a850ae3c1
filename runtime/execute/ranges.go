package execute

import (
	"strings"

	"berth/scheduler"
)

// picksPort reports whether the engine chooses a published port out of a range in this step. Engines look for a free one
// and bind it in two acts, so that of two containers started at once one may find its port taken: such steps come one
// after the other on a host.
func picksPort(s *scheduler.Step) bool {
	if s.Kind != scheduler.Start && s.Kind != scheduler.Restart || s.Service == nil || s.Service.Spec == nil {
		return false
	}
	for _, p := range s.Service.Spec.Ports {
		if first, last, isRange := strings.Cut(p.Published, "-"); isRange && first != last {
			return true
		}
	}
	return false
}

package placement

import "fmt"

// ParseAvailability reads active, pause or drain; "" is Active.
func ParseAvailability(text string) (Availability, error) {
	switch a := Availability(text); a {
	case "":
		return Active, nil
	case Active, Pause, Drain:
		return a, nil
	}
	return "", fmt.Errorf("%q is no availability; want active, pause or drain", text)
}

// drainFilter keeps tasks off hosts that the user empties, those that are there as well.
type drainFilter struct{}

func (drainFilter) applies(*Request) bool { return true }

func (drainFilter) passes(b *Board, _ *Request, host int) bool {
	return b.hosts[host].Availability != Drain
}

func (drainFilter) explain(*Board, *Request, int) string {
	return "drained: its tasks leave and it takes no new ones, until the inventory says availability: active"
}

// pauseFilter keeps new tasks off hosts that the user paused. It is no lasting filter: what is there stays.
type pauseFilter struct{}

func (pauseFilter) applies(*Request) bool { return true }

func (pauseFilter) passes(b *Board, _ *Request, host int) bool {
	return b.hosts[host].Availability != Pause
}

func (pauseFilter) explain(*Board, *Request, int) string {
	return "paused: it takes no new tasks, until the inventory says availability: active"
}

// OnlyDrained reports whether being drained is all that the host has against keeping the request.
func (b *Board) OnlyDrained(r *Request, host int) bool {
	if b.hosts[host].Availability != Drain {
		return false
	}
	for _, f := range b.lasting {
		if _, ok := f.(drainFilter); !ok && f.applies(r) && !f.passes(b, r, host) {
			return false
		}
	}
	return true
}

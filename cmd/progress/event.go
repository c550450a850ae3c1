// Package progress shows on standard error what a command is doing while it works, in the words and the layouts of
// docker compose v2.40: live lines on a terminal, one line an event elsewhere, one JSON object an event for programs.
//
// The command reports Events about resources ("Container p-web-1"); a Display turns them into output. FromStep and
// Steps make the events of a plan.
package progress

// Status says how far the work on a resource is.
type Status int

// The statuses of an event. All but Working are final until the next event about the same resource.
const (
	Working Status = iota
	Done
	Warning
	Failed
	Skipped // not tried, because something that it needs failed
)

// Event is news about one resource. ID and Host together name the line that it changes; an event without an ID is
// ignored.
type Event struct {
	ID      string // "Container p-web-1", "Network p_default", "Volume p_data", "Image nginx:1.27"
	Host    string // shown only with Options.Hosts
	Text    string // what happens, compose's words: "Creating", "Created", "Running", "Pulling 45%", "Error"
	Status  Status
	Details string // more about it, a cause; "" for none

	Current, Total int64 // bytes of a transfer; Total 0 when unknown or not a transfer
}

// tick reports whether the event only moves a transfer forward.
func (e Event) tick() bool { return e.Status == Working && e.Total > 0 }

// pointless reports whether the event adds nothing to what its resource's last status says: several steps of a plan
// may work on one resource, and a failure must not disappear behind the steps that were skipped for it.
func (e Event) pointless(last Status) bool {
	return e.Status == Skipped && (last == Failed || last == Skipped)
}

// Display shows events. All methods are safe for concurrent use.
type Display interface {
	// Event shows news; it never waits for a terminal to redraw.
	Event(Event)
	// Warn shows one sentence to the user, above or between the events.
	Warn(sentence string)
	// Yield shows what there is so far and leaves the terminal to what others write next, a question for example; the
	// events after it are shown below that.
	Yield()
	// Close shows the final state, leaves the cursor below it, and waits for the display's goroutine. It may be
	// called more than once; events after it are dropped.
	Close()
}

package progress

import (
	"fmt"
	"io"
)

// Mode is a way to show progress (--progress, COMPOSE_PROGRESS).
type Mode string

// The modes.
const (
	Auto  Mode = "auto"  // TTY on a terminal, else Plain
	TTY   Mode = "tty"   // live lines, rewritten in place
	Plain Mode = "plain" // one line an event
	JSON  Mode = "json"  // one object an event
	Quiet Mode = "quiet" // warnings and failures only
)

// ParseMode reads --progress and --ansi ("never", "always", "auto" or "") by compose's rules: never forces Plain,
// always forces TTY, and asking for the opposite is an error; JSON and Quiet do not care. "none" is Quiet.
func ParseMode(progress, ansi string) (Mode, error) {
	switch ansi {
	case "", "auto", "always", "never":
	default:
		return "", fmt.Errorf("--ansi %q: want never, always or auto", ansi)
	}
	switch progress {
	case "", string(Auto):
		switch ansi {
		case "never":
			return Plain, nil
		case "always":
			return TTY, nil
		}
		return Auto, nil
	case string(TTY):
		if ansi == "never" {
			return "", fmt.Errorf("--progress tty does not go with --ansi never; use --progress plain")
		}
		return TTY, nil
	case string(Plain):
		if ansi == "always" {
			return "", fmt.Errorf("--progress plain does not go with --ansi always; use --ansi auto")
		}
		return Plain, nil
	case string(JSON):
		return JSON, nil
	case string(Quiet), "none":
		return Quiet, nil
	}
	return "", fmt.Errorf("--progress %q: want auto, tty, plain, json or quiet", progress)
}

// Color reports whether to write colours: --ansi decides, "auto" and "" mean on a terminal; noColor (a non-empty
// NO_COLOR in the environment) beats both.
func Color(ansi string, terminal, noColor bool) bool {
	return !noColor && (ansi == "always" || ansi != "never" && terminal)
}

// Options say where and how a Display writes.
type Options struct {
	Out      io.Writer // standard error
	Terminal bool      // Out is a terminal; decides Auto
	// Size is the terminal's width and height in cells, asked anew for every redraw; nil, or a size below 1, is 80 × 24.
	Size   func() (width, height int)
	Mode   Mode   // "" is Auto
	Color  bool   // in TTY mode
	Title  string // of the TTY header, "" is "Running"
	Hosts  bool   // show Event.Host: true on a cluster, false on one host
	DryRun bool   // mark every line with compose's "DRY-RUN MODE"
}

// New returns a display that writes as o says. Close it.
func New(o Options) Display {
	switch o.Mode {
	case TTY:
		return newTTY(o)
	case JSON:
		return newJSON(o)
	case Quiet:
		return newQuiet(o)
	case Plain:
		return newPlain(o)
	}
	if o.Terminal {
		return newTTY(o)
	}
	return newPlain(o)
}

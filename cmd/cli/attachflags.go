package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// attachOptions say whose output an attached up shows, and what an end does.
type attachOptions struct {
	attach     map[string]bool // services whose output is shown
	named      []string        // services of the command line, whose ends alone end the command; empty is all that are shown
	exitFrom   string          // service whose exit code is the command's; ""
	onExit     bool            // the first container that ends ends all
	onFailure  bool            // the first that fails does
	everything bool            // nothing is shown, and all is waited for
}

func (o attachOptions) shows(service string) bool { return o.attach[service] }

// concerns reports whether a service's containers are followed: their output is shown, or their ends are waited for.
func (o attachOptions) concerns(service string) bool { return o.attach[service] || o.awaits(service) }

// awaits reports whether the command goes on until a service's containers have ended.
func (o attachOptions) awaits(service string) bool {
	if len(o.named) > 0 {
		return slices.Contains(o.named, service) || service == o.exitFrom
	}
	return o.everything || o.attach[service] || service == o.exitFrom
}

func (o attachOptions) aborts(code int) bool { return o.onExit || o.onFailure && code != 0 }

// attachOptions reads up's flags; services are those named on the command line.
func (ss *session) attachOptions(services []string) (attachOptions, error) {
	c := ss.c
	o := attachOptions{
		attach: map[string]bool{}, named: services, exitFrom: c.String("exit-code-from"), onFailure: c.Bool("abort-on-container-failure"),
		onExit: c.Bool("abort-on-container-exit") || c.String("exit-code-from") != "" && !c.Bool("abort-on-container-failure"),
	}
	only, except := c.StringSlice("attach"), c.StringSlice("no-attach")
	for _, n := range slices.Concat(only, except, []string{o.exitFrom}) {
		if n != "" && ss.project.Service(n) == nil {
			return o, fmt.Errorf("up: no such service: %s; the project has %s", n, strings.Join(serviceNames(ss.project), ", "))
		}
	}
	for _, s := range ss.project.Services {
		named := len(services) == 0 || c.Bool("attach-dependencies") || slices.Contains(services, s.Name)
		quiet := s.Spec.Attach != nil && !*s.Spec.Attach
		switch {
		case slices.Contains(except, s.Name):
		case len(only) > 0:
			o.attach[s.Name] = slices.Contains(only, s.Name)
		default:
			o.attach[s.Name] = named && !quiet
		}
	}
	o.everything = !slices.Contains(slices.Collect(maps.Values(o.attach)), true)
	return o, nil
}

// attachFlags refuses flags about the containers' output and their ends that contradict each other.
func (ss *session) attachFlags() error {
	for _, pair := range [][2]string{
		{"abort-on-container-exit", "detach"}, {"abort-on-container-failure", "detach"}, {"exit-code-from", "detach"},
		{"attach", "detach"}, {"attach-dependencies", "detach"}, {"watch", "detach"},
		{"abort-on-container-exit", "wait"}, {"abort-on-container-failure", "wait"}, {"exit-code-from", "wait"},
		{"attach", "wait"}, {"attach-dependencies", "wait"}, {"watch", "wait"},
		{"abort-on-container-exit", "abort-on-container-failure"}, {"attach", "attach-dependencies"},
	} {
		if ss.c.IsSet(pair[0]) && ss.c.IsSet(pair[1]) {
			return ss.incompatible("--"+pair[0], "--"+pair[1])
		}
	}
	return nil
}

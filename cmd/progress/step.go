package progress

import (
	"fmt"

	"berth/placement"
	"berth/scheduler"
)

// FromStep is the event for a step that begins (Working), succeeded (Done), failed without harm (Warning), failed, or
// is not tried because a step that it waits for failed (Skipped). cause is the step's error, nil where there is none.
// Steps that only concern the store or a name are not shown: their event has no ID. To follow whole plans use Steps,
// which also folds the parts of a recreate into one line. For pulls the caller adds Current and Total.
func FromStep(step scheduler.Step, status Status, cause error) Event {
	e := Event{ID: resource(step), Host: step.Host, Status: status}
	if e.ID == "" {
		return Event{}
	}
	if cause != nil {
		e.Details = cause.Error()
	}
	before, after := words(step)
	switch status {
	case Working:
		if before == "" {
			return Event{}
		}
		e.Text = before
	case Done:
		e.Text = after
	case Skipped:
		e.Text = "Skipped"
	case Warning:
		e.Text = "Warning"
		if step.Spare {
			e.Text = "Resource is still in use" // compose's words
		}
		if step.Kind == scheduler.Wait {
			e.Text = "Skipped"
			e.Details = fmt.Sprintf("optional dependency %q failed to start", step.Task.Service)
			if cause != nil {
				e.Details += ": " + cause.Error()
			}
		}
	case Failed:
		e.Text = "Error"
		if step.Kind == scheduler.Stop || step.Kind == scheduler.Remove {
			e.Text = "Error while " + before // compose's words
		}
	}
	return e
}

// resource is the ID of the thing that a step works on; "" for steps that are not shown.
func resource(s scheduler.Step) string {
	switch s.Kind {
	case scheduler.CreateNetwork, scheduler.RemoveNetwork:
		return "Network " + s.Name
	case scheduler.CreateVolume, scheduler.SeedVolume, scheduler.RemoveVolume:
		return "Volume " + s.Name
	case scheduler.Pull, scheduler.Build, scheduler.Push, scheduler.Send, scheduler.RemoveImage:
		return "Image " + s.Name
	case scheduler.Create:
		if s.Replaces != "" { // Name is temporary then
			return "Container " + s.Replaces
		}
		return "Container " + s.Name
	case scheduler.Start, scheduler.Stop, scheduler.Restart, scheduler.Kill, scheduler.Pause, scheduler.Unpause,
		scheduler.Remove, scheduler.Wait:
		return "Container " + s.Name
	case scheduler.Publish:
		return "Port " + s.Name
	case scheduler.Provide, scheduler.Halt, scheduler.Release:
		return s.Name // docker compose shows the service alone
	}
	return ""
}

// words are compose's for a step that begins and for one that succeeded.
func words(s scheduler.Step) (before, after string) {
	switch s.Kind {
	case scheduler.CreateNetwork, scheduler.CreateVolume, scheduler.Provide:
		return "Creating", "Created"
	case scheduler.SeedVolume:
		return "Seeding", "Seeded"
	case scheduler.RemoveNetwork, scheduler.RemoveVolume, scheduler.RemoveImage, scheduler.Remove, scheduler.Release:
		return "Removing", "Removed"
	case scheduler.Pull:
		return "Pulling", "Pulled"
	case scheduler.Build:
		return "Building", "Built"
	case scheduler.Push:
		return "Pushing", "Pushed"
	case scheduler.Send:
		return "Receiving", "Received"
	case scheduler.Create:
		if s.Replaces != "" {
			return "Recreate", "Recreated"
		}
		return "Creating", "Created"
	case scheduler.Start:
		return "Starting", "Started"
	case scheduler.Stop, scheduler.Halt:
		return "Stopping", "Stopped"
	case scheduler.Restart:
		return "Restarting", "Started"
	case scheduler.Kill:
		return "Killing", "Killed"
	case scheduler.Pause: // docker compose has no words for its beginning
		return "", "Paused"
	case scheduler.Unpause:
		return "", "Unpaused"
	case scheduler.Publish:
		return "Publishing", "Published"
	case scheduler.Wait:
		switch {
		case s.Running || s.Condition == placement.Healthy:
			return "Waiting", "Healthy"
		case s.Condition == placement.Completed:
			return "Waiting", "Exited"
		}
		return "Waiting", "Started"
	}
	return "", ""
}

// RunningEvent is the event for a container that a plan leaves as it is.
func RunningEvent(c placement.Container) Event {
	return Event{ID: "Container " + c.Name, Host: c.Host, Text: "Running", Status: Done}
}

// StoppedEvent is the event for a container that a stop finds stopped.
func StoppedEvent(c placement.Container) Event {
	return Event{ID: "Container " + c.Name, Host: c.Host, Text: "Stopped", Status: Done}
}

// Steps makes the events of one plan's steps. A recreate is one line, as compose shows it: "Recreate" when its
// container is created, "Recreated" when that has its final name; stopping and removing the old container in between
// is seen only when it fails. Steps is immutable and safe for concurrent use.
type Steps struct {
	final    map[key]string // temporary container name → the name it gets; by host
	renewed  map[key]bool   // networks that are made anew; by host
	replaced map[key]bool   // old containers; by host
}

// StepsOf prepares the events of a plan.
func StepsOf(p *scheduler.Plan) *Steps {
	s := &Steps{final: map[key]string{}, renewed: map[key]bool{}, replaced: map[key]bool{}}
	for _, step := range p.Steps {
		switch {
		case step.Kind == scheduler.CreateNetwork:
			s.renewed[key{step.Name, step.Host}] = true
		case step.Kind == scheduler.Rename:
			s.final[key{step.Name, step.Host}] = step.To
		case step.Kind == scheduler.Create && step.Replaces != "":
			s.replaced[key{step.Replaces, step.Host}] = true
		}
	}
	return s
}

// Event is FromStep with the plan in view.
func (s *Steps) Event(step scheduler.Step, status Status, cause error) Event {
	k := key{step.Name, step.Host}
	switch step.Kind {
	case scheduler.Create:
		if _, renamed := s.final[k]; step.Replaces != "" && renamed && status == Done {
			return Event{} // not before the rename
		}
	case scheduler.Rename:
		if status == Working {
			return Event{}
		}
		step.Kind, step.Replaces = scheduler.Create, step.To
	case scheduler.RemoveNetwork:
		if s.renewed[k] && status == Working {
			return Event{} // as docker compose, which says only that it has been removed
		}
	case scheduler.Stop, scheduler.Remove:
		if s.replaced[k] && status != Failed && status != Warning {
			return Event{}
		}
	default:
		if to, ok := s.final[k]; ok {
			step.Name = to
		}
	}
	return FromStep(step, status, cause)
}

package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"berth/cmd/progress"
	"berth/placement"
	"berth/runtime/engine"
	supply "berth/runtime/images"
	"berth/scheduler"
)

// imageFlags are those of commands that make containers: where their images come from. imagePolicy acts on them.
func imageFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "build", Usage: "build the images of services that have build:, also where they are there"},
		&cli.BoolFlag{Name: "no-build", Usage: "build no image, even if it is missing"},
		&cli.StringFlag{Name: "pull", Value: "policy", Usage: "when to pull: always, missing, never or build, instead of the services' pull_policy"},
		&cli.BoolFlag{Name: "quiet-build", Usage: "do not show what builds print"},
		&cli.BoolFlag{Name: "quiet-pull", Usage: "do not show how far pulls are"},
	}
}

// imagePolicy sets the services' policies as the flags of imageFlags want them.
func (ss *session) imagePolicy() error {
	c := ss.c
	if c.Bool("build") && c.Bool("no-build") {
		return ss.incompatible("--build", "--no-build")
	}
	pull, err := pullFlag(c)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Command.Name, err)
	}
	for _, s := range slices.Concat(ss.project.Services, ss.project.Bases) {
		if pull != "" {
			s.PullPolicy = pull
		}
		if c.Bool("build") && s.Build != nil {
			s.PullPolicy = "build"
		}
		if c.Bool("no-build") {
			s.Build = nil
		}
	}
	return nil
}

// pullFlag is the pull policy that --pull names; "" leaves that of the services.
func pullFlag(c *cli.Context) (string, error) {
	switch pull := c.String("pull"); pull {
	case "", "policy":
		return "", nil
	case "always", "missing", "never", "build":
		return pull, nil
	default:
		return "", fmt.Errorf("invalid --pull option %q; want always, missing, never or build", pull)
	}
}

// made remembers the images that a command has built or pulled: by reference, the hosts that have them now.
type made map[string][]string

// ids are the images' IDs in a newer observation.
func (m made) ids(o *placement.Observation) map[string][]string {
	all := map[string][]string{}
	for ref, hosts := range m {
		all[ref] = []string{}
		for _, h := range hosts {
			if id := o.Images[h][ref]; id != "" && !slices.Contains(all[ref], id) {
				all[ref] = append(all[ref], id)
			}
		}
	}
	return all
}

// anew carries out the builds and pulls that replace images, and calls providers: only then is it known which containers
// run an old image or have other variables. It reports whether there were any; the plan is then made again.
func (ss *session) anew(ctx context.Context, p *scheduler.Plan, m made) (bool, error) {
	first := p.Anew()
	if first.Empty() {
		return false, nil
	}
	if err := ss.run(ctx, first); err != nil {
		return true, err
	}
	for _, s := range first.Steps {
		if s.Kind == scheduler.Pull || s.Kind == scheduler.Build {
			m[s.Name] = append(m[s.Name], s.Host)
		}
	}
	return true, nil
}

// buildOptions are what flags and environment say of builds.
func (ss *session) buildOptions() supply.BuildOptions {
	v := ss.env.Getenv("DOCKER_BUILDKIT")
	return supply.BuildOptions{
		Args: ss.c.StringSlice("build-arg"), SSH: ss.c.StringSlice("ssh"), NoCache: ss.c.Bool("no-cache"), Memory: ss.memory,
		Pull: ss.c.Command.Name == "build" && ss.c.Bool("pull"), Classic: v != "" && !truthy(v),
	}
}

// buildOutput shows what builds print: on standard output a line each, numbered over all builds of a command as docker's
// plain output is, or the step at hand beside the image on a terminal.
type buildOutput struct {
	ss      *session
	numbers map[[2]int]int // step of the plan, step of its build → number
	live    bool           // the display redraws a terminal
	mute    bool           // it is for programs, or for nobody
}

func (ss *session) newBuildOutput() *buildOutput {
	mode, _ := ss.displayMode(ss.c, false) // which is right: there is a display
	tty, _ := ss.env.terminal(ss.env.Stderr)
	return &buildOutput{
		ss: ss, numbers: map[[2]int]int{}, live: mode == progress.TTY || mode == progress.Auto && tty,
		mute: mode == progress.JSON || mode == progress.Quiet || ss.c.Bool("quiet-build"),
	}
}

func (b *buildOutput) show(step *scheduler.Step, n engine.BuildNews) {
	switch {
	case b.live:
		if n.Began {
			b.ss.display.Event(progress.Event{ID: "Image " + step.Name, Host: step.Host, Text: "Building", Status: progress.Working, Details: n.Step})
		}
		return
	case b.mute:
		return
	}
	k := [2]int{step.ID, n.Number}
	number, known := b.numbers[k]
	if !known {
		number = len(b.numbers) + 1
		b.numbers[k] = number
	}
	line := ""
	switch {
	case n.Began:
		line = n.Step
		if rest, ok := strings.CutPrefix(line, "["); ok {
			line = "[" + step.Service.Name + " " + rest
		}
	case n.Failed != "":
		line = "ERROR: " + n.Failed
	case n.Cached:
		line = "CACHED"
	case n.Ended:
		line = fmt.Sprintf("DONE %.1fs", n.Took)
	default:
		line = n.Line
	}
	fmt.Fprintf(b.ss.env.Stdout, "#%d %s\n", number, line)
}

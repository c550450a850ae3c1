package cli

import (
	"errors"

	"github.com/urfave/cli/v2"

	"berth/cmd/progress"
	"berth/runtime/engine"
)

func commitCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "commit", Usage: "make an image of what a container has changed", ArgsUsage: "SERVICE[.N] [REPOSITORY[:TAG]]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "author", Aliases: []string{"a"}, Usage: "`NAME` of the image's author"},
			&cli.StringSliceFlag{Name: "change", Aliases: []string{"c"}, Usage: "Dockerfile `INSTRUCTION` for the image, repeatable"},
			&cli.IntFlag{Name: "index", Usage: "replica `N` of the service, like SERVICE.N"},
			&cli.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "`TEXT` about the image"},
			&cli.BoolFlag{Name: "pause", Aliases: []string{"p"}, Value: true, Usage: "freeze the container meanwhile"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() < 1 || c.NArg() > 2 {
				return errors.New("commit: say which service, and how to call the image, as in \"berth commit web shop-web:fixed\"")
			}
			return s.with(what{fileOptional: true, silent: true}, commit)(c)
		},
	}
}

// commit makes an image on the container's host; "push" and "up" bring it elsewhere as they do with any.
func commit(ss *session) error {
	c := ss.c
	ct, err := ss.chosen()
	if err != nil {
		return err
	}
	ev := progress.Event{ID: "Container " + ct.Name, Host: ct.Host, Text: "Committing"}
	ss.display.Event(ev)
	ev.Status, ev.Text = progress.Done, "Committed"
	if !dryRun(c) {
		ctx, cancel := ss.within(c.Context, ct.Host)
		defer cancel()
		id, err := ss.cluster.Engines()[ct.Host].Commit(ctx, ct.ID, engine.CommitSpec{
			Image: c.Args().Get(1), Author: c.String("author"), Message: c.String("message"), Changes: c.StringSlice("change"),
			Pause: c.Bool("pause"),
		})
		if err != nil {
			return err
		}
		ev.Text += " as " + id
	}
	ss.display.Event(ev)
	return nil
}

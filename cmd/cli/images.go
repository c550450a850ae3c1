package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/urfave/cli/v2"

	"berth/cmd/table"
	"berth/placement"
	"berth/runtime/engine"
)

func imagesCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "images", Usage: "list the images of the project's containers", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "image IDs only"},
			&cli.StringFlag{Name: "format", Value: "table", Usage: "how to print: table or json"},
		},
		Action: s.with(what{words: true, fileOptional: true, silent: true}, images),
	}
}

func images(ss *session) error {
	list, hosts, err := ss.containers(ss.c.Context, ss.services)
	if err != nil {
		return err
	}
	ss.unreachable(hosts)
	slices.SortStableFunc(list, func(a, b placement.Container) int { return strings.Compare(a.Name, b.Name) })
	// One look an image and host, however many containers run it.
	first := map[string]int{}
	var looks []placement.Container
	for _, ct := range list {
		key := ct.Host + " " + ct.ImageID
		if _, ok := first[key]; !ok {
			first[key] = len(looks)
			looks = append(looks, ct)
		}
	}
	found := make([]engine.ImageInfo, len(looks))
	err = ss.each(looks, func(ctx context.Context, i int, e *engine.Engine) (err error) {
		found[i], err = e.Image(ctx, looks[i].ImageID)
		return err
	})
	if err != nil {
		return fmt.Errorf("images: %w", err)
	}
	var rows []table.ImageRow
	for _, ct := range list {
		rows = append(rows, imageRow(ct, found[first[ct.Host+" "+ct.ImageID]]))
	}
	return table.Images(ss.env.Stdout, rows, table.ImageOptions{
		Format: ss.c.String("format"), Quiet: ss.c.Bool("quiet"), Cluster: ss.inv.Cluster(), Now: time.Now(),
	})
}

// imageRow names a container's image as the container does, where it still has that name.
func imageRow(ct placement.Container, i engine.ImageInfo) table.ImageRow {
	row := table.ImageRow{
		Container: ct.Name, Host: ct.Host, ID: cmp.Or(i.ID, ct.ImageID), Platform: i.Platform, Size: i.Size, Tagged: i.Tagged,
	}
	for _, tag := range i.Tags {
		named, err := reference.ParseNormalizedNamed(tag)
		if err != nil {
			continue
		}
		tagged, ok := named.(reference.Tagged)
		wanted, err := reference.ParseNormalizedNamed(ct.Image)
		if same := err == nil && reference.TagNameOnly(wanted).String() == named.String(); ok && (row.Repository == "" || same) {
			row.Repository, row.Tag = reference.FamiliarName(named), tagged.Tag()
		}
	}
	return row
}

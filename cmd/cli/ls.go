package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"berth/cmd/table"
	"berth/runtime/engine"
)

func lsCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "list the projects that run on the hosts",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "stopped ones too"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "names only"},
			&cli.StringSliceFlag{Name: "filter", Usage: "only projects whose `name=REGEXP`"},
			&cli.StringFlag{Name: "format", Value: "table", Usage: "how to print: table or json"},
		},
		Action: s.with(what{hostsOnly: true, silent: true}, ls),
	}
}

func ls(ss *session) error {
	c := ss.c
	matches, err := nameFilter(c.StringSlice("filter"))
	if err != nil {
		return fmt.Errorf("ls: %w", err)
	}
	list, hosts, err := ss.containers(c.Context, nil)
	if err != nil {
		return err
	}
	ss.unreachable(hosts)
	byName := map[string]*table.ProjectRow{}
	for _, ct := range list {
		name := ct.Labels[engine.ProjectLabel]
		if !c.Bool("all") && !ct.Running() && ct.State != "restarting" || !matches(name) {
			continue
		}
		row := byName[name]
		if row == nil {
			row = &table.ProjectRow{Name: name, States: map[string]int{}}
			byName[name] = row
		}
		row.States[ct.State]++
		for _, f := range strings.Split(ct.Labels[engine.ConfigFilesLabel], ",") {
			if f != "" && !slices.Contains(row.ConfigFiles, f) {
				row.ConfigFiles = append(row.ConfigFiles, f)
			}
		}
		if !slices.Contains(row.Hosts, ct.Host) {
			row.Hosts = append(row.Hosts, ct.Host)
		}
	}
	var rows []table.ProjectRow
	for _, row := range byName {
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, func(a, b table.ProjectRow) int { return strings.Compare(a.Name, b.Name) })
	return table.Projects(ss.env.Stdout, rows, table.ProjectOptions{
		Format: c.String("format"), Quiet: c.Bool("quiet"), Cluster: ss.inv.Cluster(),
	})
}

// nameFilter reads --filter name=REGEXP words; a project has to match one of them.
func nameFilter(words []string) (func(string) bool, error) {
	var patterns []*regexp.Regexp
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			return nil, fmt.Errorf("--filter %q: bad format of filter (expected name=value)", w)
		}
		if strings.ToLower(strings.TrimSpace(key)) != "name" {
			return nil, fmt.Errorf("--filter %q: invalid filter '%s', the one there is is name", w, key)
		}
		p, err := regexp.Compile(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("--filter %q: %w", w, err)
		}
		patterns = append(patterns, p)
	}
	return func(name string) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(name) })
	}, nil
}

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"berth/cmd/table"
	"berth/runtime/cluster"
	"berth/runtime/ledger"
)

// objectCommand is `secret` or `config-object`: what `docker secret` and `docker config` are in a swarm.
func objectCommand(s *settings, kind string) *cli.Command {
	action := func(run func(*session, string) error) cli.ActionFunc {
		return s.with(what{hostsOnly: true, store: true}, func(ss *session) error {
			if !ss.inv.Cluster() {
				return fmt.Errorf("%s: one host keeps no %ss; they are for an inventory of several hosts", cluster.Command(kind), kind)
			}
			return run(ss, kind)
		})
	}
	return &cli.Command{
		Name: cluster.Command(kind), Usage: "keep " + kind + "s that compose files call external, sealed in the cluster's store",
		Subcommands: []*cli.Command{
			{Name: "create", Usage: "make a " + kind + " of a file, or - for standard input", ArgsUsage: "NAME FILE|-",
				Flags:  []cli.Flag{&cli.StringSliceFlag{Name: "label", Aliases: []string{"l"}, Usage: "`KEY=VALUE`, repeatable"}},
				Action: action(createObject)},
			{Name: "ls", Aliases: []string{"list"}, Usage: "list them", Action: action(listObjects),
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "names only"},
					&cli.StringFlag{Name: "format", Value: "table", Usage: "table, json or a Go template"},
				}},
			{Name: "inspect", Usage: inspectUsage(kind), ArgsUsage: "NAME…", Action: action(inspectObjects)},
			{Name: "rm", Aliases: []string{"remove"}, Usage: "remove them; containers that have one keep it", ArgsUsage: "NAME…", Action: action(removeObjects)},
		},
	}
}

func inspectUsage(kind string) string {
	if kind == ledger.Secret {
		return "print what is known of them, but for the content"
	}
	return "print what is known of them, with the content in base64"
}

func createObject(ss *session, kind string) error {
	args := ss.c.Args().Slice()
	if len(args) != 2 {
		return fmt.Errorf("%s create: want a name and a file, or - for standard input", cluster.Command(kind))
	}
	labels := map[string]string{}
	for _, l := range ss.c.StringSlice("label") {
		k, v, _ := strings.Cut(l, "=")
		labels[k] = v
	}
	content, err := ss.readInput(args[1])
	if err != nil {
		return fmt.Errorf("%s create: %w", cluster.Command(kind), err)
	}
	if dryRun(ss.c) {
		fmt.Fprintf(ss.env.Stdout, "create %s %s of %d bytes\n", kind, args[0], len(content))
		return nil
	}
	ctx := ss.c.Context
	if err := ss.cluster.Open(ctx, true); err != nil {
		return err
	}
	if _, err := ss.cluster.Observe(ctx, "", nil); err != nil { // the first command puts the agents there, which hold the key
		return err
	}
	if err := ss.cluster.CreateObject(ctx, kind, args[0], content, labels); err != nil {
		return err
	}
	_, err = fmt.Fprintln(ss.env.Stdout, args[0])
	return err
}

// readInput reads a file, or standard input for "-".
func (ss *session) readInput(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(ss.env.Stdin)
	}
	return os.ReadFile(ss.path(name))
}

// objects lists what is in the store; a cluster that does not exist yet has none.
func (ss *session) objects(kind string) ([]cluster.Object, error) {
	err := ss.cluster.Open(ss.c.Context, false)
	if errors.Is(err, cluster.ErrNoCluster) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ss.cluster.Objects(ss.c.Context, kind)
}

func listObjects(ss *session, kind string) error {
	all, err := ss.objects(kind)
	if err != nil {
		return err
	}
	var rows []table.ObjectRow
	for _, o := range all {
		if ss.c.Bool("quiet") {
			fmt.Fprintln(ss.env.Stdout, o.Name)
		}
		rows = append(rows, table.ObjectRow{Name: o.Name, Created: o.Created, Labels: o.Labels})
	}
	if ss.c.Bool("quiet") {
		return nil
	}
	return table.Objects(ss.env.Stdout, rows, ss.c.String("format"))
}

// inspected is an object as `inspect` prints it, with docker's names.
type inspected struct {
	CreatedAt string
	Spec      inspectedSpec
}

type inspectedSpec struct {
	Name   string
	Labels map[string]string
	Data   []byte `json:",omitempty"` // of configs
}

func inspectObjects(ss *session, kind string) error {
	all, err := ss.objects(kind)
	if err != nil {
		return err
	}
	known := map[string]cluster.Object{}
	for _, o := range all {
		known[o.Name] = o
	}
	found, problems := []inspected{}, []error(nil)
	for _, name := range ss.c.Args().Slice() {
		o, ok := known[name]
		if !ok {
			problems = append(problems, fmt.Errorf("%s inspect: there is no %s %s", cluster.Command(kind), kind, name))
			continue
		}
		i := inspected{CreatedAt: o.Created.Format(time.RFC3339), Spec: inspectedSpec{Name: name, Labels: o.Labels}}
		if i.Spec.Labels == nil {
			i.Spec.Labels = map[string]string{}
		}
		if kind == ledger.Config {
			if i.Spec.Data, err = ss.cluster.ObjectContent(ss.c.Context, name); err != nil {
				problems = append(problems, fmt.Errorf("%s inspect %s: %w", cluster.Command(kind), name, err))
			}
		}
		found = append(found, i)
	}
	if len(found)+len(problems) == 0 {
		return fmt.Errorf("%s inspect: want a name", cluster.Command(kind))
	}
	out, err := json.MarshalIndent(found, "", "    ")
	if err != nil {
		return err
	}
	fmt.Fprintf(ss.env.Stdout, "%s\n", out)
	return errors.Join(problems...)
}

func removeObjects(ss *session, kind string) error {
	names := ss.c.Args().Slice()
	if len(names) == 0 {
		return fmt.Errorf("%s rm: want a name", cluster.Command(kind))
	}
	if dryRun(ss.c) {
		for _, name := range names {
			fmt.Fprintf(ss.env.Stdout, "remove %s %s\n", kind, name)
		}
		return nil
	}
	if err := ss.openStore(); err != nil {
		return err
	}
	var problems []error
	for _, name := range names {
		if err := ss.cluster.RemoveObject(ss.c.Context, kind, name); err != nil {
			problems = append(problems, err)
			continue
		}
		fmt.Fprintln(ss.env.Stdout, name)
	}
	return errors.Join(problems...)
}

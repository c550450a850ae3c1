package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"berth/runtime/cluster"
	"berth/runtime/ledger"
)

// oneArgument is the only argument of a subcommand.
func (ss *session) oneArgument(want string) (string, error) {
	if args := ss.c.Args().Slice(); len(args) == 1 && args[0] != "" {
		return args[0], nil
	}
	return "", fmt.Errorf("store %s: want %s", ss.c.Command.Name, want)
}

func storeBackup(ss *session) error {
	name, err := ss.oneArgument("a file, or - for standard output")
	if err != nil {
		return err
	}
	if err := ss.openStore(); err != nil {
		return err
	}
	b, err := ss.cluster.Backup(ss.c.Context, time.Now())
	if err != nil {
		return err
	}
	var content bytes.Buffer
	if _, err := b.WriteTo(&content); err != nil {
		return err
	}
	if name == "-" {
		_, err := content.WriteTo(ss.env.Stdout)
		return err
	}
	if name = ss.path(name); dryRun(ss.c) {
		fmt.Fprintf(ss.env.Stdout, "write %d keys of revision %d to %s\n", len(b.Pairs), b.Revision, name)
		return nil
	}
	if err := writeWhole(name, content.Bytes()); err != nil {
		return fmt.Errorf("store backup: %w", err)
	}
	ss.display.Warn(fmt.Sprintf("%d keys of revision %d are in %s; secrets in it are sealed with a key that is not in it", len(b.Pairs), b.Revision, name))
	return nil
}

// writeWhole writes a file that only its owner reads, whole or not at all.
func writeWhole(name string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // 0600
	if err != nil {
		var at *fs.PathError
		if errors.As(err, &at) {
			at.Path = name // nobody has asked for the other one
		}
		return err
	}
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}

func storeRestore(ss *session) error {
	name, err := ss.oneArgument("a backup's file, or - for standard input")
	if err != nil {
		return err
	}
	content, err := ss.readInput(name)
	if err != nil {
		return fmt.Errorf("store restore: %w", err)
	}
	b, err := ledger.ReadBackup(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("store restore: %s: %w", name, err)
	}
	ctx := ss.c.Context
	if err := ss.openStore(); err != nil {
		return err
	}
	r, err := ss.cluster.PlanRestore(ctx, b, name)
	if err != nil {
		return err
	}
	ss.explain(b, r)
	if dryRun(ss.c) {
		return nil
	}
	if !ss.c.Bool("yes") && len(r.Puts)+len(r.Lost) > 0 {
		if yes, err := ss.ask("Restore it? [yN] "); err != nil || !yes {
			return err
		}
	}
	if err := ss.cluster.Restore(ctx, r); err != nil {
		return err
	}
	ss.display.Warn("restored; the agents have told the store what runs on their hosts since the backup was taken. Run \"berth plan\" for each project to see what differs from its file")
	return nil
}

// explain says what a restore changes, and what is lost by it.
func (ss *session) explain(b ledger.Backup, r *cluster.Restoration) {
	out := ss.env.Stdout
	fmt.Fprintf(out, "backup of %s, revision %d: %d keys are as they are in the store, %d are put, %d go\n",
		b.Taken.Format(time.RFC3339), b.Revision, r.Same, len(r.Puts), len(r.Lost))
	for _, key := range r.Puts {
		fmt.Fprintln(out, "put  "+key)
	}
	for _, key := range r.Lost {
		fmt.Fprintln(out, "lose "+key)
	}
	if len(r.Lost) > 0 {
		ss.display.Warn("what is lost and belongs to something that runs is told the store again by the host's agent; secrets and configs are not")
	}
	if len(r.Sealed) > 0 {
		var names []string
		for _, key := range r.Sealed {
			names = append(names, strings.TrimPrefix(key, ledger.Root))
		}
		ss.display.Warn(fmt.Sprintf("the backup is of another cluster (%s): %s cannot be opened in this one; remove them and make them again", r.Cluster, strings.Join(names, ", ")))
	}
}

func storeMigrate(ss *session) error {
	url, err := ss.oneArgument("the address of the new store, as store: in the inventory would have it")
	if err != nil {
		return err
	}
	if dryRun(ss.c) {
		fmt.Fprintf(ss.env.Stdout, "copy the store to %s and have all agents use it\n", url)
		return nil
	}
	copied, err := ss.cluster.Migrate(ss.c.Context, url)
	if err != nil {
		return err
	}
	if copied > 0 {
		fmt.Fprintf(ss.env.Stdout, "copied %d keys; nothing was removed from the old store\n", copied)
	}
	fmt.Fprintf(ss.env.Stdout, "all agents use %s: write \"store: %s\" in %s now\n", url, url, ss.inv.Path)
	return nil
}

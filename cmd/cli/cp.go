package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/go-archive"
	"github.com/urfave/cli/v2"

	"berth/cmd/console"
	"berth/placement"
	"berth/runtime/engine"
)

func cpCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "cp", Usage: "copy files between containers and this machine",
		ArgsUsage: "SERVICE[.N]:SOURCE TARGET|-\n   berth cp [OPTIONS] SOURCE|- SERVICE[.N]:TARGET",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "one-off containers of the service too"},
			&cli.BoolFlag{Name: "archive", Aliases: []string{"a"}, Usage: "keep user and group IDs"},
			&cli.BoolFlag{Name: "follow-link", Aliases: []string{"L"}, Usage: "copy what a symbolic link as SOURCE leads to"},
			&cli.IntFlag{Name: "index", Usage: "replica `N` of the service, like SERVICE.N"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 2 {
				return errors.New("cp: say from where and to where, as in \"berth cp web:/etc/hosts .\"")
			}
			return s.with(what{fileOptional: true, silent: true}, copyFiles)(c)
		},
	}
}

// inContainer splits SERVICE:PATH; ok is false for a path of this machine.
func inContainer(word string) (service, path string, ok bool) {
	service, path, ok = strings.Cut(word, ":")
	if !ok || filepath.IsAbs(word) || strings.HasPrefix(service, ".") || service == "" || path == "" {
		return "", word, false
	}
	return service, path, true
}

func copyFiles(ss *session) error {
	c := ss.c
	fromService, source, out := inContainer(c.Args().Get(0))
	toService, target, in := inContainer(c.Args().Get(1))
	switch {
	case out && in:
		return errors.New("cp: copying between services is not supported; copy to this machine first")
	case !out && !in:
		return errors.New("cp: one of the two is to be SERVICE:PATH")
	}
	t, err := ss.target(fromService+toService, c.Int("index"))
	if err != nil {
		return err
	}
	list, err := ss.matching(c.Context, t, false)
	if err != nil {
		return err
	}
	if !c.Bool("all") {
		list = slices.DeleteFunc(list, func(ct placement.Container) bool { return ct.OneOff })
		if len(list) == 0 {
			return fmt.Errorf("no container found for service %q but one-off ones; --all takes them too", t.service)
		}
	}
	if out {
		list = list[:1]
	}
	if source == "-" && len(list) > 1 {
		return fmt.Errorf("cp: standard input can be read once, and %s has %d containers; say which with --index", t.service, len(list))
	}
	var errs []error
	for _, ct := range list {
		if dryRun(c) {
			fmt.Fprintf(ss.env.Stdout, "copy %s to %s, container %s%s\n", source, target, ct.Name, ss.on(ct.Host))
			continue
		}
		copyOne := ss.copyIn
		if out {
			copyOne = ss.copyOut
		}
		errs = append(errs, copyOne(c.Context, ct, source, target))
	}
	return errors.Join(errs...)
}

func (ss *session) copyOptions() engine.CopyOptions {
	return engine.CopyOptions{FollowLink: ss.c.Bool("follow-link"), Owners: ss.c.Bool("archive")}
}

func (ss *session) copyIn(ctx context.Context, ct placement.Container, source, target string) error {
	e := ss.cluster.Engines()[ct.Host]
	if source == "-" {
		if console.Is(ss.env.Stdin) {
			return errors.New("cp: standard input is a terminal; a tar stream is wanted there")
		}
		return e.Unpack(ctx, ct.Name, ss.env.Stdin, target, ss.copyOptions())
	}
	if err := e.CopyIn(ctx, ct.Name, ss.local(source), target, ss.copyOptions()); err != nil {
		return fmt.Errorf("cp: %w", err)
	}
	return nil
}

func (ss *session) copyOut(ctx context.Context, ct placement.Container, source, target string) error {
	e := ss.cluster.Engines()[ct.Host]
	if target == "-" {
		if console.Is(ss.env.Stdout) {
			return errors.New("cp: standard output is a terminal; a tar stream is not for it")
		}
		return e.Pack(ctx, ct.Name, source, ss.env.Stdout, ss.copyOptions())
	}
	if err := e.CopyOut(ctx, ct.Name, source, ss.local(target), ss.copyOptions()); err != nil {
		return fmt.Errorf("cp: %w", err)
	}
	return nil
}

// local is a path of the command line with the "/" or "/." at its end, which mean something to a copy.
func (ss *session) local(path string) string {
	return archive.PreserveTrailingDotOrSeparator(ss.path(path), path)
}

func exportCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write a container's file system as a tar archive", ArgsUsage: "SERVICE[.N]",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "index", Usage: "replica `N` of the service, like SERVICE.N"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return errors.New("export: say which service, as in \"berth export -o web.tar web\"")
			}
			return s.with(what{fileOptional: true, silent: true}, export)(c)
		},
	}
}

func export(ss *session) error {
	c := ss.c
	ct, err := ss.chosen()
	if err != nil {
		return err
	}
	if dryRun(c) {
		fmt.Fprintf(ss.env.Stdout, "export %s%s\n", ct.Name, ss.on(ct.Host))
		return nil
	}
	ctx, cancel := ss.within(c.Context, ct.Host)
	defer cancel()
	e := ss.cluster.Engines()[ct.Host]
	if c.String("output") == "" {
		if console.Is(ss.env.Stdout) {
			return errors.New("export: standard output is a terminal; name a file with -o, or redirect it")
		}
		return e.Export(ctx, ct.Name, ss.env.Stdout)
	}
	return intoFile(ss.path(c.String("output")), func(f *os.File) error { return e.Export(ctx, ct.Name, f) })
}

// intoFile writes a file whole or not at all: beside its place first. A device or a pipe is written to as it is.
func intoFile(path string, write func(*os.File) error) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // when it has its name, there is none
	if err := errors.Join(write(f), f.Chmod(0o600), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

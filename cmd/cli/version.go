package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

func versionCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print berth's version",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Usage: "pretty or json"},
			&cli.BoolFlag{Name: "short", Usage: "the number alone"},
		},
		Action: func(c *cli.Context) error {
			v := buildVersion()
			switch {
			case c.Bool("short"):
				fmt.Fprintln(s.env.Stdout, v)
			case c.String("format") == "json":
				return json.NewEncoder(s.env.Stdout).Encode(map[string]string{"version": v})
			default:
				fmt.Fprintf(s.env.Stdout, "berth version %s (%s, %s/%s)\n", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			}
			return nil
		},
	}
}

// buildVersion is the module's version when berth was installed by version, else the revision it was built from.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

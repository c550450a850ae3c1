package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"berth/runtime/engine"
)

func versionCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "pretty", Usage: "how to print: pretty or json"},
			&cli.BoolFlag{Name: "short", Usage: "the number alone"},
		},
		Action: func(c *cli.Context) error {
			return s.printVersion(c.String("format"), c.Bool("short"))
		},
	}
}

// printVersion says which berth this is. Under docker compose's name it says first whose place it takes: scripts look
// whether that release is new enough for them.
func (s *settings) printVersion(format string, short bool) error {
	own := buildVersion()
	number, tagged := own, own
	pretty := fmt.Sprintf("berth version %s (%s, %s/%s)", own, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if s.call.compose {
		number, tagged = engine.ComposeVersion, "v"+engine.ComposeVersion
		pretty = fmt.Sprintf("Docker Compose version %s (berth %s)", tagged, own)
	}
	switch {
	case short:
		pretty = number
	case format == "json":
		return json.NewEncoder(s.env.Stdout).Encode(map[string]string{"version": tagged})
	case format != "" && format != "pretty":
		return fmt.Errorf("version: --format %q: want pretty or json", format)
	}
	_, err := fmt.Fprintln(s.env.Stdout, pretty)
	return err
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

package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"
)

// dockerFlags are the docker command line's own global flags, which docker compose takes too.
func dockerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "context", Aliases: []string{"c"}, Usage: "work on the one engine of docker context `NAME`"},
		&cli.StringFlag{Name: "host", Aliases: []string{"H"}, Usage: "work on the one engine at `ADDRESS` (unix://, tcp://, ssh://)"},
		&cli.StringFlag{Name: "config", Usage: "`FOLDER` of docker's own configuration"},
		&cli.BoolFlag{Name: "tls", Hidden: true},
		&cli.BoolFlag{Name: "tlsverify", Hidden: true},
		&cli.StringFlag{Name: "tlscacert", Hidden: true},
		&cli.StringFlag{Name: "tlscert", Hidden: true},
		&cli.StringFlag{Name: "tlskey", Hidden: true},
		&cli.BoolFlag{Name: "debug", Aliases: []string{"D"}, Hidden: true},
		&cli.StringFlag{Name: "log-level", Aliases: []string{"l"}, Hidden: true},
	}
}

// obeyDocker gives docker's flags their place in the environment, where what reads it finds them: they beat the
// variables of the same meaning.
func (s *settings) obeyDocker(c *cli.Context) error {
	host, name := c.String("host"), c.String("context")
	if host != "" && name != "" {
		return fmt.Errorf("--host and --context both say which engine; give one")
	}
	if (host != "" || name != "") && c.String("inventory") != "" {
		return fmt.Errorf("--inventory says which hosts, and --host and --context which one engine; give one")
	}
	set := func(variable, value string) { s.env.Environ = append(s.env.Environ, variable+"="+value) }
	switch {
	case host != "":
		set("DOCKER_HOST", host)
		set("DOCKER_CONTEXT", "")
	case name != "":
		set("DOCKER_CONTEXT", name)
		if name != "default" { // the one context that is what DOCKER_HOST says
			set("DOCKER_HOST", "")
		}
	}
	if host != "" || name != "" {
		s.oneEngine = true
	}
	if dir := c.String("config"); dir != "" {
		set("DOCKER_CONFIG", dir)
		// Contexts and credentials are found by docker's own library, and by programs that it starts.
		if err := os.Setenv("DOCKER_CONFIG", dir); err != nil {
			return fmt.Errorf("--config %q: %w", dir, err)
		}
	}
	if c.Bool("tls") {
		set("DOCKER_TLS", "1")
	}
	if c.Bool("tlsverify") {
		set("DOCKER_TLS_VERIFY", "1")
	}
	return s.tlsFiles(c, set)
}

// tlsFiles takes docker's three files as the folder that they are in.
func (s *settings) tlsFiles(c *cli.Context, set func(variable, value string)) error {
	dir := ""
	for flag, file := range map[string]string{"tlscacert": "ca.pem", "tlscert": "cert.pem", "tlskey": "key.pem"} {
		path := c.String(flag)
		if path == "" {
			continue
		}
		if filepath.Base(path) != file || dir != "" && dir != filepath.Dir(path) {
			return fmt.Errorf("--%s %s: want ca.pem, cert.pem and key.pem in one folder, as DOCKER_CERT_PATH names it", flag, path)
		}
		dir = filepath.Dir(path)
	}
	if dir == "" {
		return nil
	}
	set("DOCKER_CERT_PATH", dir)
	set("DOCKER_TLS", "1")
	return nil
}

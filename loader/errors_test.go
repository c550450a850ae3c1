package loader

import (
	"errors"
	"testing"
)

// The table holds explain to the messages of the pinned compose-go.
func TestErrorsNameFileLineAndKey(t *testing.T) {
	for _, c := range []struct {
		name, files string
		options     []func(*world)
		want        string
	}{
		{name: "bad YAML", files: "-- compose.yaml --\nservices:\n  web:\n    image: x\n  foo: [a\n",
			want: "load compose.yaml:4: not valid YAML: while parsing a flow sequence: did not find expected ',' or ']'"},
		{name: "bad YAML in a block", files: "-- compose.yaml --\nservices:\n  web:\n    - a\n   b: c\n",
			want: "load compose.yaml:4: not valid YAML: while parsing a block mapping: did not find expected key"},
		{name: "bad YAML in a quote", files: "-- compose.yaml --\nservices:\n  web: 'a\n  b: c\n",
			want: "load compose.yaml:2: not valid YAML: while scanning a quoted scalar: found unexpected end of stream"},
		{name: "tabs", files: "-- compose.yaml --\nservices:\n\tweb: 1\n",
			want: "load compose.yaml:2: not valid YAML: while scanning for the next token: found character that cannot start any token; indent with spaces, not with tabs"},
		{name: "key twice", files: web("image: b"),
			want: `load compose.yaml:4: not valid YAML: mapping key "image" already defined at line 3`},
		{name: "unknown key", files: web("commandd: b"),
			want: "load compose.yaml:4: services.web.commandd: unknown key; did you mean command?"},
		{name: "the first of several unknown keys", files: web("zzzzzz: 1\nimagee: b"),
			want: "load compose.yaml:4: services.web.zzzzzz: unknown key"},
		{name: "unknown key deeper", files: web("deploy:\n  replica: 1"),
			want: "load compose.yaml:5: services.web.deploy.replica: unknown key; did you mean replicas?"},
		{name: "unknown key at the top", files: "-- compose.yaml --\nservice:\n  web: {image: a}\n",
			want: "load compose.yaml:1: service: unknown key; did you mean services?"},
		{name: "unknown key in the override", files: web("init: true") + "-- compose.override.yaml --\nservices:\n  web:\n    restrat: always\n",
			want: "load compose.override.yaml:3: services.web.restrat: unknown key; did you mean restart?"},
		{name: "a service with a dot", files: "-- compose.yaml --\nservices:\n  a.b:\n    image: x\n    ports: 80\n",
			want: "load compose.yaml:4: services.a.b.ports: must be an array"},
		{name: "bad service name", files: "-- compose.yaml --\nservices:\n  we b: {image: a}\n",
			want: `load compose.yaml:2: services.we b: "we b" is no valid name; names have letters, digits, '.', '_' and '-' only`},
		{name: "wrong type", files: web("ports: 80"), want: "load compose.yaml:4: services.web.ports: must be an array"},
		{name: "wrong type of a service", files: "-- compose.yaml --\nservices:\n  web: hello\n", want: "load compose.yaml:2: services.web: must be a mapping"},
		{name: "not a number", files: web("deploy: {replicas: many}"),
			want: `load compose.yaml:4: services.web.deploy.replicas: "many" is not a number or switch as this key wants it`},
		{name: "not a number after all", files: web("deploy: {resources: {reservations: {cpus: x}}}"),
			want: `load compose.yaml:4: services.web.deploy.resources.reservations.cpus: "x" is not a number`},
		{name: "not a size", files: web("mem_limit: lots"), want: "load compose.yaml:4: services.web.mem_limit: invalid size: 'lots'"},
		{name: "bad port", files: web("ports:\n  - 80:80\n  - abc:80"), want: `load compose.yaml:6: services.web.ports: "abc:80": invalid hostPort: abc`},
		{name: "port of an unset variable", files: web("ports: ['80:${PORT}/tcp']"),
			want: `load compose.yaml:4: services.web.ports: "80:${PORT}/tcp": invalid proto: ; not set: PORT`},
		{name: "volume of an unset variable", files: web("volumes: ['${DATA}:/data']"),
			want: `load compose.yaml:4: services.web.volumes: "${DATA}:/data": invalid spec: :/data: empty section between colons; not set: DATA`},
		{name: "mount without target", files: web("volumes:\n  - /x:/x\n  - {type: volume}"), want: "load compose.yaml:6: services.web.volumes.1: missing a mount target"},
		{name: "bind without source", files: web("volumes: [{type: bind, target: /x}]"), want: "load compose.yaml:4: services.web.volumes.0: a bind mount needs a source"},
		{name: "number of an unset variable", files: web("scale: ${N}"), want: `load compose.yaml:4: services.web.scale: "" is not a number or switch as this key wants it; not set: N`},
		{name: "condition", files: web("depends_on:\n  db: {condition: up}") + "  db: {image: db}\n",
			want: "load compose.yaml:5: services.web.depends_on.db.condition: value must be one of 'service_started', 'service_healthy', 'service_completed_successfully'"},
		{name: "dependency cycle", files: web("depends_on: [db]") + "  db: {image: db, depends_on: [web]}\n",
			want: "load compose.yaml:5: services.db.depends_on.web: dependency cycle: db -> web -> db; remove one of these dependencies"},
		{name: "undefined network", files: web("networks: [frnt]") + "networks: {front: {}}\n",
			want: "load compose.yaml:4: services.web.networks.frnt: network frnt is not defined; did you mean front?"},
		{name: "undefined volume", files: web("volumes: ['data:/data']"),
			want: "load compose.yaml:4: services.web.volumes.data: volume data is not defined; declare it under volumes:"},
		{name: "undefined secret", files: web("secrets: [key]"), want: "load compose.yaml:4: services.web.secrets.key: secret key is not defined; declare it under secrets:"},
		{name: "undefined service", files: web("depends_on: [dbb]") + "  db: {image: db}\n",
			want: "load compose.yaml:4: services.web.depends_on.dbb: service web depends on undefined service dbb; did you mean db?"},
		{name: "undefined service by link", files: web("links: ['gone:x']"),
			want: "load compose.yaml:4: services.web.links.gone: service web depends on undefined service gone; the file has web"},
		{name: "undefined service by namespace", files: web("network_mode: service:gone"),
			want: "load compose.yaml:4: services.web.network_mode: service web depends on undefined service gone; the file has web"},
		{name: "dependency behind a profile", files: web("depends_on: [db]") + "  db: {image: db, profiles: [data]}\n",
			want: "load compose.yaml:4: services.web.depends_on.db: service web depends on undefined service db: it is switched off by its profiles; turn it on with --profile data, or set required: false"},
		{name: "no image", files: "-- compose.yaml --\nservices:\n  web: {command: x}\n",
			want: "load compose.yaml:2: services.web: there is neither an image nor a build context; give it image: or build:"},
		{name: "bad interpolation", files: web("hostname: ${a"),
			want: "load compose.yaml:4: services.web.hostname: invalid interpolation format; write ${NAME}, and $$ for a plain $"},
		{name: "required variable", files: web("hostname: ${a:?set it}"), want: "load compose.yaml:4: services.web.hostname: required variable a is missing a value: set it"},
		{name: "required variables", files: web("labels:\n  - x\n  - a=${a:?set it}\nhostname: ${b:?set it}"),
			want: "load compose.yaml:6: services.web.labels: required variable a is missing a value: set it (and 1 more like this)"},
		{name: "missing env_file", files: web("env_file:\n  - gone.env"),
			want: "load compose.yaml:5: services.web.env_file: env file DIR/gone.env not found; write it, or set required: false"},
		{name: "missing label_file", files: web("label_file: gone"), want: "load compose.yaml:4: services.web.label_file: label file DIR/gone not found; write it"},
		{name: "missing --env-file", files: web("init: true"), options: []func(*world){func(w *world) { w.opts.EnvFiles = []string{"gone.env"} }},
			want: "load: couldn't find env file: DIR/gone.env; check --env-file and COMPOSE_ENV_FILES"},
		{name: "bad .env", files: web("init: true") + "-- .env --\nA=1\nNO GOOD=2\n", want: "load .env:2: key cannot contain a space"},
		{name: "bad project name", files: web("init: true"), options: []func(*world){func(w *world) { w.opts.ProjectName = "My Shop" }},
			want: `load: invalid project name "My Shop": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number`},
		{name: "bad COMPOSE_PROJECT_NAME", files: web("init: true"), options: []func(*world){env("COMPOSE_PROJECT_NAME=_x")},
			want: `load: invalid project name "_x": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number`},
		{name: "no project name", files: "-- __/compose.yaml --\nservices: {web: {image: a}}\n", options: []func(*world){cwd("__")},
			want: "load: project name can't be empty, and folder DIR/__ gives none; pass -p NAME"},
		{name: "missing include", files: "-- compose.yaml --\ninclude:\n  - gone.yml\n", want: "load compose.yaml:2: include: file gone.yml is not there"},
		{name: "missing extends", files: web("extends: {file: gone.yml, service: x}"), want: "load compose.yaml:4: services.web.extends: file gone.yml is not there"},
		{name: "unknown key in an included file", files: "-- compose.yaml --\ninclude: [a.yml]\n-- a.yml --\nservices:\n  web: {imagee: x}\n",
			want: "load a.yml:2: services.web.imagee: unknown key; did you mean image?"},
		{name: "extends an unknown service", files: web("extends: gone"), want: "load compose.yaml:4: services.web.extends: service gone is not defined in compose.yaml"},
		{name: "extends in a cycle", files: "-- compose.yaml --\nservices:\n  web: {extends: web}\n", want: "load compose.yaml:2: services.web.extends: services extend each other in a cycle: web -> web"},
		{name: "remote include", files: "-- compose.yaml --\ninclude: ['https://example.com/a.git']\n",
			want: "load https://example.com/a.git: compose files are read from this machine only; fetch it first and name the local copy"},
		{name: "one container name for several", files: web("container_name: shop\nscale: 2"),
			want: "load compose.yaml:4: services.web.container_name: can't set container_name and scale, as a container name must be unique; drop container_name"},
		{name: "one container name for two services", files: web("container_name: shop") + "  db:\n    image: db\n    container_name: shop\n",
			want: `load compose.yaml:4: services.web.container_name: container name "shop" is already in use by service db; give one of them another`},
		{name: "healthcheck", files: web("healthcheck: {test: [curl, x]}"),
			want: `load compose.yaml:4: services.web.healthcheck.test: healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"`},
		{name: "numeric key", files: "-- compose.yaml --\nservices:\n  1: {image: a}\n", want: "load compose.yaml:2: services.1: keys are strings; put this one in quotes"},
		{name: "empty", files: "-- compose.yaml --\n", want: "load compose.yaml: empty compose file; it needs services:"},
		{name: "a list", files: "-- compose.yaml --\n- a\n", want: "load compose.yaml: top-level object must be a mapping; it needs services:"},
		{name: "a folder", files: "-- sub/x --\n", options: []func(*world){files("sub")}, want: "load sub: this compose file is a folder; name the file in it"},
		{name: "a file that is not there", files: "-- x --\n", options: []func(*world){files("gone.yml")}, want: "load gone.yml: file does not exist; check -f and COMPOSE_FILE"},
		{name: "standard input", files: "-- x --\n", options: []func(*world){files("-"), stdin("services:\n  web: {imagee: x}\n")},
			want: "load standard input:2: services.web.imagee: unknown key; did you mean image?"},
		{name: "no standard input", files: "-- x --\n", options: []func(*world){files("-")}, want: "load standard input: there is no standard input to read here; pass -f FILE"},
		{name: "unknown service named", files: web("init: true"), options: []func(*world){named("wbe")}, want: "load: no such service: wbe; did you mean web?"},
		{name: "task named", files: web("init: true"), options: []func(*world){named("web.2")},
			want: "load: no such service: web.2; the service is web, and its tasks are no services (logs takes --index 2, exec, attach, cp and port take web.2)"},
		{name: "mode", files: web("deploy: {mode: globl}"), want: `load compose.yaml:4: services.web.deploy.mode: "globl" is no mode; did you mean global?`},
		{name: "subnet", files: web("networks: [n]") + "networks:\n  n:\n    ipam: {config: [{subnet: 10.0.0.0}]}\n",
			want: `load compose.yaml:7: networks.n.ipam.config.0.subnet: "10.0.0.0" is no subnet; want one like 172.28.0.0/16`},
		{name: "pull policy", files: web("pull_policy: every_x"), want: "load compose.yaml:4: services.web.pull_policy: 'every_x' does not match pattern '^(always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+)$'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.files, c.options...)
			_, err := w.load()
			var typed *Error
			if !errors.As(err, &typed) {
				t.Fatalf("error is %v, want an *Error", err)
			}
			if got := w.plain(err); got != c.want {
				t.Errorf("error is\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

package loader

import (
	"strings"
	"testing"
)

func TestRelativeBindsAreRefusedOnAClusterOnly(t *testing.T) {
	const advice = " is a path on this machine and the project's files are not sent to the hosts; use a named volume, or an absolute path that is present on the host"
	for _, c := range []struct{ name, files, want string }{
		{"short form", web("volumes:\n  - /abs:/abs\n  - ./conf:/conf"), "load compose.yaml:6: services.web.volumes.1: bind mount ./conf"},
		{"long form", web("volumes:\n  - type: bind\n    source: ../conf\n    target: /conf"), "load compose.yaml:5: services.web.volumes.0: bind mount ../conf"},
		{"home", web("volumes: ['~/conf:/conf']"), "load compose.yaml:4: services.web.volumes.0: bind mount ~/conf"},
		{"the project folder by variable", web("volumes: ['${PWD}/conf:/conf']"), "load compose.yaml:4: services.web.volumes.0: bind mount ./conf"},
		{"in an included file", "-- compose.yaml --\ninclude: [sub/c.yaml]\n-- sub/c.yaml --\nservices: {web: {image: a, volumes: ['./conf:/conf']}}\n",
			"load sub/c.yaml:1: services.web.volumes.0: bind mount sub/conf"},
		{"in an extended file", web("extends: {file: sub/c.yaml, service: base}") + "-- sub/c.yaml --\nservices: {base: {image: a, volumes: ['./conf:/conf']}}\n",
			"load compose.yaml:2: services.web.volumes.0: bind mount sub/conf"},
		{"as a volume's device", web("volumes: ['data:/data']") + "volumes:\n  data:\n    driver: local\n    driver_opts: {type: none, o: bind, device: ./data}\n",
			"load compose.yaml:8: volumes.data.driver_opts.device: bind device ./data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			newWorld(t, c.files).mustLoad() // fine on one host
			w := newWorld(t, c.files, cluster)
			_, err := w.load()
			if err == nil || w.plain(err) != c.want+advice {
				t.Errorf("error is\n%v\nwant\n%s", err, c.want+advice)
			}
		})
	}
}

func TestWhatIsOnTheHostOrCopiedIsAllowedOnACluster(t *testing.T) {
	for _, files := range []string{
		web("volumes: ['/etc/localtime:/etc/localtime:ro', 'data:/data', /anonymous]") + "volumes: {data: {}}\n",
		web("configs: [c]\nsecrets: [s]") + "configs: {c: {file: ./c}}\nsecrets: {s: {file: ./s}}\n",
		web("env_file: e") + "-- e --\nA=1\n",
		web("volumes: ['data:/data']") + "volumes: {data: {driver: local, driver_opts: {type: none, o: bind, device: /data}}}\n",
		web("init: true") + "  off: {image: off, profiles: [off], volumes: ['./x:/x']}\n",
	} {
		if p, err := newWorld(t, files, cluster).load(); err != nil {
			t.Errorf("%s\n%v", files, err)
		} else if len(p.Warnings) > 0 {
			t.Errorf("%s\nwarnings %q", files, strings.Join(p.Warnings, "; "))
		}
	}
}

package loader

import (
	"strings"
	"testing"
)

func TestAVolumeThatIsARelativePathIsRefusedOnAClusterOnly(t *testing.T) {
	files := web("volumes: ['data:/data']") + "volumes:\n  data:\n    driver: local\n    driver_opts: {type: none, o: bind, device: ./data}\n"
	newWorld(t, files).mustLoad() // fine on one host
	w := newWorld(t, files, cluster)
	_, err := w.load()
	want := "load compose.yaml:8: volumes.data.driver_opts.device: bind device ./data is a path on this machine, and a volume is made on the host; " +
		"mount the folder in the service instead, or use an absolute path that is present on the host"
	if err == nil || w.plain(err) != want {
		t.Errorf("error is\n%v\nwant\n%s", err, want)
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

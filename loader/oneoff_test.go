package loader

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"berth/placement"
)

const shop = `
-- compose.yaml --
services:
  web:
    image: app
    command: serve
    entrypoint: /start
    container_name: fixed
    restart: always
    user: www
    ports: ["8080:80"]
    environment: {A: service, B: service, C: service}
    labels: {own: label}
    cap_add: [NET_ADMIN]
    networks: {front: {aliases: [shop], ipv4_address: 10.0.0.5}}
    volumes: ["data:/data"]
    post_start: [{command: touch /made}]
    deploy: {mode: global, placement: {max_replicas_per_node: 1}}
networks: {front: {ipam: {config: [{subnet: 10.0.0.0/24}]}}}
volumes: {data: {}}
-- more.env --
B=file
C=file
-- .env --
MINE=own
`

func ptr[T any](v T) *T { return &v }

func TestAOneOffIsItsServiceWithWhatTheCommandLineSays(t *testing.T) {
	w := newWorld(t, shop)
	p := w.mustLoad()
	list := func(s ...string) []string { return s }
	for _, c := range []struct {
		name string
		o    OneOff
		see  func(s *placement.Service) any
		want any
	}{
		{"nothing keeps command and entrypoint", OneOff{}, func(s *placement.Service) any {
			return [][]string{s.Spec.Entrypoint, s.Spec.Command}
		}, [][]string{{"/start"}, {"serve"}}},
		{"a command goes to the entrypoint", OneOff{Command: list("ls", "-l")}, func(s *placement.Service) any {
			return [][]string{s.Spec.Entrypoint, s.Spec.Command}
		}, [][]string{{"/start"}, {"ls", "-l"}}},
		{"an entrypoint takes the command away", OneOff{Entrypoint: ptr(`sh -c "a b"`)}, func(s *placement.Service) any {
			return [][]string{s.Spec.Entrypoint, s.Spec.Command}
		}, [][]string{{"sh", "-c", "a b"}, nil}},
		{"no entrypoint", OneOff{Entrypoint: ptr(""), Command: list("ls")}, func(s *placement.Service) any {
			return [][]string{s.Spec.Entrypoint, s.Spec.Command}
		}, [][]string{{""}, {"ls"}}},
		{"no name, ports, aliases, hooks or mode of its own", OneOff{}, func(s *placement.Service) any {
			return []any{s.ContainerName, len(s.Ports), s.Networks, len(s.Spec.PostStart), s.Mode, s.MaxPerHost}
		}, []any{"", 0, []placement.Attachment{{Network: "front", IPv4: "10.0.0.5"}}, 0, placement.Replicated, 0}},
		{"the service's ports", OneOff{ServicePorts: true}, func(s *placement.Service) any { return s.Ports },
			[]placement.Port{{Published: 8080, Target: 80, Protocol: "tcp"}}},
		{"published ports", OneOff{Publish: list("127.0.0.1:9:90/udp", "7")}, func(s *placement.Service) any { return s.Ports },
			[]placement.Port{{HostIP: "127.0.0.1", Published: 9, Target: 90, Protocol: "udp"}, {Target: 7, Protocol: "tcp"}}},
		{"the service's names", OneOff{UseAliases: true}, func(s *placement.Service) any { return s.Networks[0].Aliases }, list("web", "shop")},
		{"variables: -e over files over the service", OneOff{Env: list("A=1,2", "C=", "MINE", "ABSENT"), EnvFiles: list("more.env")},
			func(s *placement.Service) any {
				var all []string
				for k, v := range s.Spec.Environment {
					all = append(all, k+"="+*v)
				}
				slices.Sort(all)
				return all
			}, list("A=1,2", "B=file", "C=", "MINE=own")},
		{"labels", OneOff{Labels: list("own=mine", "x=y=z", "bare")}, func(s *placement.Service) any { return s.Spec.Labels },
			types.Labels{"own": "mine", "x": "y=z", "bare": ""}},
		{"capabilities", OneOff{CapAdd: list("SYS_TIME"), CapDrop: list("NET_ADMIN", "CHOWN")}, func(s *placement.Service) any {
			return [][]string{s.Spec.CapAdd, s.Spec.CapDrop}
		}, [][]string{{"SYS_TIME"}, {"NET_ADMIN", "CHOWN"}}},
		{"a volume in the place of the service's", OneOff{Volumes: list("other:/data:ro", "/anon", "./here:/x")},
			func(s *placement.Service) any { return s.Mounts },
			[]placement.Mount{{Type: "volume", Source: "other", Target: "/data", ReadOnly: true}, {Type: "volume", Target: "/anon"},
				{Type: "bind", Source: w.dir + "/here", Target: "/x"}}},
		{"user and folder", OneOff{User: "root", WorkingDir: "/tmp"}, func(s *placement.Service) any {
			return []string{s.Spec.User, s.Spec.WorkingDir}
		}, list("root", "/tmp")},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Dir = w.dir
			s, err := c.o.Of(p, "web")
			if err != nil {
				t.Fatal(err)
			}
			if got := c.see(s); !reflect.DeepEqual(got, c.want) {
				t.Error(cmp.Diff(c.want, got))
			}
		})
	}
	if again := w.mustLoad().Service("web"); !reflect.DeepEqual(again.Spec, p.Service("web").Spec) {
		t.Error("the service itself has changed", cmp.Diff(again.Spec, p.Service("web").Spec))
	}
}

func TestWhatAOneOffCannotHaveIsSaid(t *testing.T) {
	w := newWorld(t, shop)
	p := w.mustLoad()
	for want, o := range map[string]OneOff{
		`--entrypoint "sh -c 'open": `:         {Entrypoint: ptr("sh -c 'open")},
		"--publish x: ":                        {Publish: []string{"x"}},
		"--env-from-file DIR/none.env: ":       {EnvFiles: []string{"none.env"}},
		"-v ./x:/x: ./x is on this machine":    {Volumes: []string{"./x:/x"}, Cluster: true},
		"-v : ":                                {Volumes: []string{""}},
		"--publish 70000:80: invalid hostPort": {Publish: []string{"70000:80"}},
	} {
		o.Dir = w.dir
		if _, err := o.Of(p, "web"); err == nil || !strings.Contains(w.plain(err), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := (OneOff{}).Of(p, "wob"); err == nil || !strings.Contains(err.Error(), "no such service: wob") {
		t.Errorf("got %v", err)
	}
}

func TestAVolumeThatOnlyTheCommandLineNamesIsLookedForOnACluster(t *testing.T) {
	p := newWorld(t, shop).mustLoad()
	o := OneOff{Volumes: []string{"data:/d", "backup:/b"}, Cluster: true}
	if _, err := o.Of(p, "web"); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range p.Volumes {
		names = append(names, v.Name)
	}
	if !slices.Equal(names, []string{"shop_data", "backup"}) {
		t.Errorf("got %v", names)
	}
}

package loader

import (
	"fmt"
	"strings"
	"testing"
)

// published is how a service's ports are published: "80" in host mode, "80!" in mode ingress.
func published(w *world, service string) string {
	s := w.mustLoad().Service(service)
	var all []string
	for _, p := range s.Ports {
		all = append(all, fmt.Sprint(p.Published))
	}
	for _, p := range s.Ingress {
		all = append(all, fmt.Sprint(p.Published, "!"))
	}
	return strings.Join(all, " ")
}

func TestAPortIsTheClustersWhereTheFileSaysIngress(t *testing.T) {
	for _, c := range []struct{ name, archive, want string }{
		{"the short form is the host's", web("ports: ['80:80', '81:81/udp']"), "80 81"},
		{"the long form without a mode too", web("ports: [{target: 80, published: 80}]"), "80"},
		{"mode: host", web("ports: [{target: 80, published: '80', mode: host}]"), "80"},
		{"mode: ingress", web("ports: [{target: 80, published: 80, mode: ingress}, '81:81']"), "81 80!"},
		{"out of a variable", web("ports: [{target: 80, published: 80, mode: '${MODE:-ingress}'}]"), "80!"},
		{"one number, two protocols", web("ports: [{target: 80, published: 80, mode: ingress}, {target: 80, published: 80, protocol: udp, mode: ingress}]"), "80! 80!"},
		{"label", web("labels: {berth.ports.mode: ingress}\nports: ['80:80', {target: 81, published: 81, mode: host}]"), "81 80!"},
		{"deploy.labels", web("deploy: {labels: {berth.ports.mode: ingress}}\nports: ['80:80']"), "80!"},
		{"x-berth", web("ports: ['80:80']") + "x-berth: {ports: ingress}\n", "80!"},
		{"the label is nearer than x-berth", web("labels: {berth.ports.mode: host}\nports: ['80:80']") + "x-berth: {ports: ingress}\n", "80"},
		{"another file says it", web("ports: ['80:80']") + `
-- compose.override.yaml --
services: {web: {ports: [{target: 80, published: 80, mode: ingress}]}}
`, "80!"},
		{"an extended service says it", web("extends: {file: base.yaml, service: base}") + `
-- base.yaml --
services: {base: {ports: [{target: 80, published: 80, mode: ingress}]}}
`, "80!"},
		{"an included file says it", `
-- compose.yaml --
include: [inner.yaml]
-- inner.yaml --
services: {web: {image: x, ports: [{target: 80, published: 80, mode: ingress}]}}
`, "80!"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := published(newWorld(t, c.archive, cluster), "web"); got != c.want {
				t.Errorf("ports %q, want %q", got, c.want)
			}
			if got := published(newWorld(t, c.archive), "web"); strings.Contains(got, "!") {
				t.Errorf("ports %q on one host", got)
			}
		})
	}
}

func TestAPortOfTheClusterIsNoneOfTheContainers(t *testing.T) {
	hash := func(ports string) string {
		return newWorld(t, web("ports: "+ports), cluster).mustLoad().Service("web").ConfigHash
	}
	w := newWorld(t, web("ports: [{target: 8000, published: 80, mode: ingress}, '81:81']"), cluster)
	s := w.mustLoad().Service("web")
	if len(s.Spec.Ports) != 1 || s.Spec.Ports[0].Published != "81" {
		t.Errorf("the container publishes %v", s.Spec.Ports)
	}
	if in := w.mustLoad().Compose.Services["web"].Ports; len(in) != 2 || in[0].Mode != "ingress" {
		t.Errorf("config prints %v", in)
	}
	if hash("[{target: 80, published: 80, mode: ingress}]") == hash("['80:80']") {
		t.Error("another mode is no change")
	}
	if hash("[{target: 80, published: 80, mode: ingress}]") == hash("[{target: 80, published: 81, mode: ingress}]") {
		t.Error("another number is no change")
	}
}

func TestWhatCannotBeThePortOfAClusterIsRefused(t *testing.T) {
	for _, c := range []struct{ archive, want string }{
		{web("ports: [{target: 80, published: 80, mode: ingres}]"), `compose.yaml:4: services.web.ports.0.mode: "ingres" is no mode; want host or ingress`},
		{web("ports: [{target: 80, mode: ingress}]"), "mode ingress needs one published port, the same on every host"},
		{web("ports: [{target: 80, published: 8000-8010, mode: ingress}]"), "mode ingress needs one published port"},
		{web("ports: [{target: 80, published: 80, host_ip: 127.0.0.1, mode: ingress}]"), "not on 127.0.0.1; use mode: host, or leave host_ip out"},
		{web("ports: [{target: 80, published: 80, protocol: sctp, mode: ingress}]"), "mode ingress knows tcp and udp, not sctp"},
		{web("ports: [{target: 80, published: 80, mode: ingress}, {target: 81, published: 80, mode: ingress}]"), "port 80/tcp is published twice"},
		{web("network_mode: host\nports: [{target: 80, published: 80, mode: ingress}]"), "mode ingress needs a network of the cluster"},
		{web("labels: {berth.ports.mode: all}\nports: ['80:80']"), `services.web.labels.berth.ports.mode: "all" is no mode`},
		{web("ports: ['80:80']") + "x-berth: {ports: every}\n", "x-berth.ports: want host or ingress here"},
	} {
		_, err := newWorld(t, c.archive, cluster).load()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngot  %v\nwant %s", c.archive, err, c.want)
		}
	}
}

package table

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
)

var now = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// containers is one project on two hosts.
func containers() []placement.Container {
	return []placement.Container{
		{
			ID: strings.Repeat("2b", 32), Name: "p-web-1", Host: "web-back1", State: "running", Health: "healthy",
			Image: "nginx:1.27", Command: "/docker-entrypoint.sh nginx -g 'daemon off;'",
			Created: now.Add(-3 * time.Hour), Status: "Up 3 hours (healthy)",
			Labels: map[string]string{projectLabel: "p", serviceLabel: "web", "tier": "front"},
			Ports: []placement.Port{
				{HostIP: "0.0.0.0", Published: 8000, Target: 80, Protocol: "tcp"},
				{HostIP: "::", Published: 8000, Target: 80, Protocol: "tcp"},
				{Target: 443, Protocol: "tcp"},
			},
			Networks: map[string]string{"p_front": "", "p_back": ""},
			Mounts: []placement.Mount{
				{Type: "volume", Source: "p_data_of_the_web_server", Target: "/data"}, {Type: "bind", Source: "/etc/localtime"},
			},
		},
		{
			ID: strings.Repeat("1a", 32), Name: "p-db-1", Host: "db1", State: "exited", Health: "unhealthy", ExitCode: 3,
			Image: "postgres", Command: "postgres", Created: now.Add(-20 * time.Second), Status: "Exited (3) 5 seconds ago",
			Labels: map[string]string{projectLabel: "p", serviceLabel: "db"},
		},
	}
}

func TestPSFormats(t *testing.T) {
	for _, c := range []struct {
		name string
		o    PSOptions
		want string
	}{
		{"one host", PSOptions{}, `
NAME      IMAGE        COMMAND                  SERVICE   CREATED          STATUS                     PORTS
p-db-1    postgres     "postgres"               db        20 seconds ago   Exited (3) 5 seconds ago   
p-web-1   nginx:1.27   "/docker-entrypoint.…"   web       3 hours ago      Up 3 hours (healthy)       443/tcp, 0.0.0.0:8000->80/tcp, [::]:8000->80/tcp
`},
		{"cluster", PSOptions{Format: "table", Cluster: true, NoTrunc: true}, `
NAME      HOST        IMAGE        COMMAND                                          SERVICE   CREATED          STATUS                     PORTS
p-db-1    db1         postgres     "postgres"                                       db        20 seconds ago   Exited (3) 5 seconds ago   
p-web-1   web-back1   nginx:1.27   "/docker-entrypoint.sh nginx -g 'daemon off;'"   web       3 hours ago      Up 3 hours (healthy)       443/tcp, 0.0.0.0:8000->80/tcp, [::]:8000->80/tcp
`},
		{"json", PSOptions{Format: "json"}, `
{"Command":"\"postgres\"","CreatedAt":"2025-03-01 11:59:40 +0000 UTC","ExitCode":3,"Health":"","ID":"1a1a1a1a1a1a","Image":"postgres","Labels":"com.docker.compose.project=p,com.docker.compose.service=db","LocalVolumes":"0","Mounts":"","Name":"p-db-1","Names":"p-db-1","Networks":"","Ports":"","Project":"p","Publishers":[],"RunningFor":"20 seconds ago","Service":"db","Size":"0B","State":"exited","Status":"Exited (3) 5 seconds ago"}
{"Command":"\"/docker-entrypoint.…\"","CreatedAt":"2025-03-01 09:00:00 +0000 UTC","ExitCode":0,"Health":"healthy","ID":"2b2b2b2b2b2b","Image":"nginx:1.27","Labels":"com.docker.compose.project=p,com.docker.compose.service=web,tier=front","LocalVolumes":"1","Mounts":"p_data_of_the_…,/etc/localtime","Name":"p-web-1","Names":"p-web-1","Networks":"p_back,p_front","Ports":"443/tcp, 0.0.0.0:8000-\u003e80/tcp, [::]:8000-\u003e80/tcp","Project":"p","Publishers":[{"URL":"0.0.0.0","TargetPort":80,"PublishedPort":8000,"Protocol":"tcp"},{"URL":"::","TargetPort":80,"PublishedPort":8000,"Protocol":"tcp"},{"URL":"","TargetPort":443,"PublishedPort":0,"Protocol":"tcp"}],"RunningFor":"3 hours ago","Service":"web","Size":"0B","State":"running","Status":"Up 3 hours (healthy)"}
`},
		{"template", PSOptions{Format: `{{.Name}}\t{{.Host}} {{upper .State}} {{.Label "tier"}}{{range .Publishers}} {{.PublishedPort}}{{end}}`}, `
p-db-1	db1 EXITED 
p-web-1	web-back1 RUNNING front 8000 8000 0
`},
		{"table template", PSOptions{Format: `table {{.Name}}\t{{.ExitCode}}\t{{.Label "com.example.tier"}}`}, `
NAME      EXIT CODE   tier
p-db-1    3           
p-web-1   0           
`},
		{"raw", PSOptions{Format: "raw"}, `
container_id: 1a1a1a1a1a1a
image: postgres
command: "postgres"
created_at: 2025-03-01 11:59:40 +0000 UTC
state: exited
status: Exited (3) 5 seconds ago
names: p-db-1
labels: com.docker.compose.project=p,com.docker.compose.service=db
ports:

container_id: 2b2b2b2b2b2b
image: nginx:1.27
command: "/docker-entrypoint.…"
created_at: 2025-03-01 09:00:00 +0000 UTC
state: running
status: Up 3 hours (healthy)
names: p-web-1
labels: com.docker.compose.project=p,com.docker.compose.service=web,tier=front
ports: 443/tcp, 0.0.0.0:8000->80/tcp, [::]:8000->80/tcp

`},
		{"quiet beats format", PSOptions{Quiet: true, Format: "json"}, "\n" + strings.Repeat("1a", 32) + "\n" + strings.Repeat("2b", 32) + "\n"},
		{"services", PSOptions{Services: true}, "\ndb\nweb\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Now = now
			var b strings.Builder
			if err := PS(&b, containers(), c.o); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want[1:], b.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPSWithoutContainersIsAHeaderOrNothing(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"table", "NAME      IMAGE     COMMAND   SERVICE   CREATED   STATUS    PORTS\n"}, {"json", ""},
	} {
		var b strings.Builder
		if err := PS(&b, nil, PSOptions{Format: c.format, Now: now}); err != nil || b.String() != c.want {
			t.Errorf("%s: %q, %v; want %q", c.format, b.String(), err, c.want)
		}
	}
}

func TestPSNamesTheHostInJSONOnAClusterOnly(t *testing.T) {
	for _, cluster := range []bool{false, true} {
		var b strings.Builder
		if err := PS(&b, containers()[:1], PSOptions{Format: "json", Cluster: cluster, Now: now}); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
			t.Fatal(err)
		}
		if _, there := got["Host"]; there != cluster {
			t.Errorf("cluster %v: Host in JSON: %v", cluster, there)
		}
	}
}

func TestPSRefusesABrokenTemplateAndWritesNothing(t *testing.T) {
	for _, format := range []string{"{{.Name", "{{.Nmae}}", "table {{.Nmae}}"} {
		var b strings.Builder
		err := PS(&b, containers(), PSOptions{Format: format, Now: now})
		if err == nil || !strings.Contains(err.Error(), "--format") || b.Len() > 0 {
			t.Errorf("%s: error %v, output %q", format, err, b.String())
		}
	}
}

func TestPortsAreMergedAsTheDockerCommandLineDoes(t *testing.T) {
	tcp := func(ip string, published, target uint16) placement.Port {
		return placement.Port{HostIP: ip, Published: published, Target: target, Protocol: "tcp"}
	}
	for _, c := range []struct {
		ports []placement.Port
		want  string
	}{
		{nil, ""},
		{[]placement.Port{tcp("", 0, 80)}, "80/tcp"},
		{[]placement.Port{tcp("0.0.0.0", 8000, 80)}, "0.0.0.0:8000->80/tcp"},
		{[]placement.Port{tcp("", 8000, 80)}, "0.0.0.0:8000->80/tcp"},
		{[]placement.Port{tcp("127.0.0.1", 82, 82), tcp("127.0.0.1", 80, 80), tcp("127.0.0.1", 81, 81)}, "127.0.0.1:80-82->80-82/tcp"},
		{[]placement.Port{tcp("::", 80, 80), tcp("0.0.0.0", 80, 80)}, "0.0.0.0:80->80/tcp, [::]:80->80/tcp"},
		{[]placement.Port{tcp("", 0, 80), tcp("", 0, 81), tcp("", 0, 90), {Target: 81, Protocol: "udp"}}, "80-81/tcp, 90/tcp, 81/udp"},
		{[]placement.Port{tcp("0.0.0.0", 9001, 81), tcp("0.0.0.0", 9000, 80), tcp("", 0, 443)}, "443/tcp, 0.0.0.0:9000->80/tcp, 0.0.0.0:9001->81/tcp"},
	} {
		if got := portsText(c.ports); got != c.want {
			t.Errorf("%v: %q, want %q", c.ports, got, c.want)
		}
	}
}

func TestCommandsAreCutToTheirWidth(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"exactly twenty chars", "exactly twenty chars"},
		{"exactly twenty-1 char", "exactly twenty-1 ch…"},
		{"日本語日本語日本語日", "日本語日本語日本語日"},
		{"日本語日本語日本語日本", "日本語日本語日本語…"},
	} {
		if got := ellipsis(c.in, 20); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func hostRows() []HostRow {
	const gib = 1 << 30
	return []HostRow{
		{
			Host: placement.Host{
				Name: "web-back1", Address: "ssh://deploy@10.0.0.2", IP: "10.0.0.2", State: placement.Ready, EngineID: "E1",
				Version: "28.5.2", OS: "linux", Arch: "amd64", Labels: map[string]string{"zone": "a", "type": "worker"},
				Capacity: placement.Reservation{CPU: 4000, Memory: 4 * gib},
			},
			Reserved: placement.Reservation{CPU: 1500, Memory: gib / 2}, Tasks: 7, Agent: "ready",
		},
		{Host: placement.Host{
			Name: "web-back2", Address: "tcp://10.0.0.3:2376", State: placement.Ready, Version: "20.10.24",
			Capacity: placement.Reservation{CPU: 8000, Memory: 32 * gib},
		}, Agent: "missing"},
		{Host: placement.Host{Name: "db1", Address: "unix:///x", State: placement.Unreachable, Problem: "dial tcp:\ntimeout", Availability: placement.Drain}},
	}
}

func TestHostsFormats(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"", `
HOST        STATE                                   ENGINE     CPU       MEMORY        TASKS     LABELS
web-back1   ready                                   28.5.2     1.5/4     512MiB/4GiB   7         type=worker,zone=a
web-back2   ready (agent missing)                   20.10.24   0/8       0B/32GiB      0         
db1         unreachable, drain: dial tcp: timeout   -          -         -             0         
`},
		{"json", `
{"Host":"web-back1","Address":"ssh://deploy@10.0.0.2","IP":"10.0.0.2","State":"ready","Availability":"active","Agent":"ready","Engine":"28.5.2","EngineID":"E1","Platform":"linux/amd64","Capacity":{"CPU":4000,"Memory":4294967296},"Reserved":{"CPU":1500,"Memory":536870912},"Tasks":7,"Labels":{"type":"worker","zone":"a"}}
{"Host":"web-back2","Address":"tcp://10.0.0.3:2376","State":"ready","Availability":"active","Agent":"missing","Engine":"20.10.24","EngineID":"","Platform":"","Capacity":{"CPU":8000,"Memory":34359738368},"Reserved":{"CPU":0,"Memory":0},"Tasks":0,"Labels":{}}
{"Host":"db1","Address":"unix:///x","State":"unreachable","Availability":"drain","Problem":"dial tcp:\ntimeout","Engine":"","EngineID":"","Platform":"","Capacity":{"CPU":0,"Memory":0},"Reserved":{"CPU":0,"Memory":0},"Tasks":0,"Labels":{}}
`},
		{`table {{.Host}}\t{{.Platform}}\t{{.Label "zone"}}`, `
HOST        PLATFORM      zone
web-back1   linux/amd64   a
web-back2                 
db1                       
`},
	} {
		t.Run(c.format, func(t *testing.T) {
			var b strings.Builder
			if err := Hosts(&b, hostRows(), c.format); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want[1:], b.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

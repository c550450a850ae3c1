package table

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
)

// golden compares what a table function writes.
func golden(t *testing.T, name, want string, write func(io.Writer) error) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Helper()
		var b strings.Builder
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), b.String()); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
	})
}

func TestUsageFormats(t *testing.T) {
	rows := []UsageRow{
		{
			ID: strings.Repeat("1a", 32), Name: "p-db-1", Host: "db1", Known: true, CPU: 150.256, MemoryPercent: 12.5, Memory: 512 << 20,
			MemoryLimit: 4 << 30, NetworkRead: 1234, NetworkSent: 5_600_000, BlockWritten: 42, Processes: 7,
		},
		{ID: strings.Repeat("2b", 32), Name: "p-web-1", Host: "web-back1"},
	}
	for name, c := range map[string]struct {
		o    UsageOptions
		want string
	}{
		"one host": {UsageOptions{}, `
CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O          BLOCK I/O   PIDS
1a1a1a1a1a1a   p-db-1    150.26%   512MiB / 4GiB       12.50%    1.23kB / 5.6MB   0B / 42B    7
2b2b2b2b2b2b   p-web-1   --        -- / --             --        --               --          --
`},
		"cluster": {UsageOptions{Format: "table", Cluster: true}, `
CONTAINER ID   NAME      HOST        CPU %     MEM USAGE / LIMIT   MEM %     NET I/O          BLOCK I/O   PIDS
1a1a1a1a1a1a   p-db-1    db1         150.26%   512MiB / 4GiB       12.50%    1.23kB / 5.6MB   0B / 42B    7
2b2b2b2b2b2b   p-web-1   web-back1   --        -- / --             --        --               --          --
`},
		"json": {UsageOptions{Format: "json", NoTrunc: true}, `
{"BlockIO":"0B / 42B","CPUPerc":"150.26%","Container":"` + strings.Repeat("1a", 32) + `","ID":"` + strings.Repeat("1a", 32) + `","MemPerc":"12.50%","MemUsage":"512MiB / 4GiB","Name":"p-db-1","NetIO":"1.23kB / 5.6MB","PIDs":"7"}
{"BlockIO":"--","CPUPerc":"--","Container":"` + strings.Repeat("2b", 32) + `","ID":"` + strings.Repeat("2b", 32) + `","MemPerc":"--","MemUsage":"-- / --","Name":"p-web-1","NetIO":"--","PIDs":"--"}
`},
		"template": {UsageOptions{Format: "{{.Name}}@{{.Host}} {{.ID}}"}, "p-db-1@db1 1a1a1a1a1a1a\np-web-1@web-back1 2b2b2b2b2b2b\n"},
	} {
		golden(t, name, c.want, func(w io.Writer) error { return Usage(w, rows, c.o) })
	}
}

func TestTopJoinsHostsWhosePsDiffers(t *testing.T) {
	rows := []TopRow{
		{Service: "db", Number: "1", Host: "db1", Cells: map[string]string{"PID": "7", "CMD": "postgres -D /data"}},
		{Service: "web", Number: "12", Host: "web-back1", Cells: map[string]string{"PID": "12345", "USER": "root"}},
	}
	titles := []string{"PID", "CMD", "USER"}
	golden(t, "one host", `
SERVICE  #   PID    CMD                USER
db       1   7      postgres -D /data  -
web      12  12345  -                  root
`, func(w io.Writer) error { return Top(w, titles, rows, false) })
	golden(t, "cluster", `
SERVICE  #   HOST       PID    CMD                USER
db       1   db1        7      postgres -D /data  -
web      12  web-back1  12345  -                  root
`, func(w io.Writer) error { return Top(w, titles, rows, true) })
	golden(t, "nothing runs", "", func(w io.Writer) error { return Top(w, nil, nil, false) })
}

func TestImagesFormats(t *testing.T) {
	rows := []ImageRow{
		{Container: "p-db-1", Host: "db1", ID: "sha256:" + strings.Repeat("1a", 32), Repository: "postgres", Tag: "17",
			Platform: "linux/amd64", Size: 438_000_000, Tagged: now.Add(-72 * time.Hour)},
		{Container: "p-web-1", Host: "web-back1", ID: "sha256:" + strings.Repeat("2b", 32), Platform: "linux/arm64/v8", Size: 1},
		{Container: "p-web-2", Host: "web-back1", ID: "sha256:" + strings.Repeat("2b", 32), Platform: "linux/arm64/v8", Size: 1},
	}
	for name, c := range map[string]struct {
		o    ImageOptions
		want string
	}{
		"one host": {ImageOptions{}, `
CONTAINER           REPOSITORY          TAG                 PLATFORM            IMAGE ID            SIZE                CREATED
p-db-1              postgres            17                  linux/amd64         1a1a1a1a1a1a        438MB               3 days ago
p-web-1             <none>              <none>              linux/arm64/v8      2b2b2b2b2b2b        1B                  N/A
p-web-2             <none>              <none>              linux/arm64/v8      2b2b2b2b2b2b        1B                  N/A
`},
		"cluster": {ImageOptions{Format: "table", Cluster: true}, `
CONTAINER           HOST                REPOSITORY          TAG                 PLATFORM            IMAGE ID            SIZE                CREATED
p-db-1              db1                 postgres            17                  linux/amd64         1a1a1a1a1a1a        438MB               3 days ago
p-web-1             web-back1           <none>              <none>              linux/arm64/v8      2b2b2b2b2b2b        1B                  N/A
p-web-2             web-back1           <none>              <none>              linux/arm64/v8      2b2b2b2b2b2b        1B                  N/A
`},
		"quiet": {ImageOptions{Quiet: true, Format: "json"}, strings.Repeat("1a", 32) + "\n" + strings.Repeat("2b", 32) + "\n"},
	} {
		c.o.Now = now
		golden(t, name, c.want, func(w io.Writer) error { return Images(w, rows, c.o) })
	}
	golden(t, "json", `[{"ID":"sha256:`+strings.Repeat("1a", 32)+`","ContainerName":"p-db-1","Repository":"postgres","Tag":"17","Platform":"linux/amd64","Size":438000000,"LastTagTime":"2025-02-26T12:00:00Z"}]
`, func(w io.Writer) error { return Images(w, rows[:1], ImageOptions{Format: "json"}) })
	golden(t, "no containers", "[]\n", func(w io.Writer) error { return Images(w, nil, ImageOptions{Format: "json"}) })
}

func TestVolumesFormats(t *testing.T) {
	rows := []VolumeRow{{Name: "p_data", Driver: "local", Scope: "local", Mountpoint: "/v/p_data", Host: "db1", Labels: map[string]string{"b": "2", "a": "1"}}}
	for name, c := range map[string]struct {
		o    VolumeOptions
		want string
	}{
		"one host": {VolumeOptions{}, "DRIVER    VOLUME NAME\nlocal     p_data\n"},
		"cluster":  {VolumeOptions{Format: "table", Cluster: true}, "DRIVER    VOLUME NAME   HOST\nlocal     p_data        db1\n"},
		"quiet":    {VolumeOptions{Quiet: true}, "p_data\n"},
		"json":     {VolumeOptions{Format: "json"}, `{"Availability":"N/A","Driver":"local","Group":"N/A","Labels":"a=1,b=2","Links":"N/A","Mountpoint":"/v/p_data","Name":"p_data","Scope":"local","Size":"N/A","Status":"N/A"}` + "\n"},
		"template": {VolumeOptions{Format: `{{.Name}} {{.Label "b"}}`}, "p_data 2\n"},
	} {
		golden(t, name, c.want, func(w io.Writer) error { return Volumes(w, rows, c.o) })
	}
}

func TestProjectsFormats(t *testing.T) {
	rows := []ProjectRow{
		{Name: "shop", States: map[string]int{"running": 3, "exited": 1}, ConfigFiles: []string{"/a/compose.yml", "/a/b.yml"}, Hosts: []string{"db1", "web-back1"}},
		{Name: "x", States: map[string]int{"paused": 1}, Hosts: []string{"db1"}},
	}
	for name, c := range map[string]struct {
		o    ProjectOptions
		want string
	}{
		"one host": {ProjectOptions{}, `
NAME                STATUS                  CONFIG FILES
shop                exited(1), running(3)   /a/compose.yml,/a/b.yml
x                   paused(1)               N/A
`},
		"cluster": {ProjectOptions{Format: "table", Cluster: true}, `
NAME                STATUS                  HOSTS               CONFIG FILES
shop                exited(1), running(3)   db1,web-back1       /a/compose.yml,/a/b.yml
x                   paused(1)               db1                 N/A
`},
		"quiet": {ProjectOptions{Quiet: true}, "shop\nx\n"},
		"json": {ProjectOptions{Format: "json"}, `
[{"Name":"shop","Status":"exited(1), running(3)","ConfigFiles":"/a/compose.yml,/a/b.yml"},{"Name":"x","Status":"paused(1)","ConfigFiles":"N/A"}]
`},
	} {
		golden(t, name, c.want, func(w io.Writer) error { return Projects(w, rows, c.o) })
	}
	if err := Projects(io.Discard, rows, ProjectOptions{Format: "yaml"}); err == nil {
		t.Error("an unknown format is taken")
	}
}

func TestEventsArePrintedAsComposePrintsThem(t *testing.T) {
	e := EventRow{Time: now.Add(123456789), Action: "die", ID: "1a2b", Service: "db", Attributes: map[string]string{"name": "p-db-1", "exitCode": "3"}}
	at := func(host string) EventRow { e := e; e.Host = host; return e }
	east := time.FixedZone("", 3600)
	for _, c := range []struct {
		e      EventRow
		asJSON bool
		want   string
	}{
		{e, false, "2025-03-01 13:00:00.123456 container die 1a2b (exitCode=3, name=p-db-1)"},
		{at("db1"), false, "2025-03-01 13:00:00.123456 db1 container die 1a2b (exitCode=3, name=p-db-1)"},
		{e, true, `{"action":"die","attributes":{"exitCode":"3","name":"p-db-1"},"id":"1a2b","service":"db","time":"2025-03-01T12:00:00.123456789Z","type":"container"}`},
		{at("db1"), true, `{"action":"die","attributes":{"exitCode":"3","name":"p-db-1"},"host":"db1","id":"1a2b","service":"db","time":"2025-03-01T12:00:00.123456789Z","type":"container"}`},
	} {
		if got := string(Event(c.e, c.asJSON, east)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestOnAClusterPortsShowTheAddressOfTheirHost(t *testing.T) {
	port := func(ip string, published uint16) placement.Port {
		return placement.Port{HostIP: ip, Published: published, Target: 80, Protocol: "tcp"}
	}
	ports := []placement.Port{port("0.0.0.0", 8000), port("::", 8000), port("127.0.0.1", 9000), port("", 0)}
	for address, want := range map[string]string{
		"":          "80/tcp, 0.0.0.0:8000->80/tcp, 127.0.0.1:9000->80/tcp, [::]:8000->80/tcp",
		"10.0.0.2":  "80/tcp, 10.0.0.2:8000->80/tcp, 127.0.0.1:9000->80/tcp",
		"web.local": "80/tcp, 127.0.0.1:9000->80/tcp, web.local:8000->80/tcp",
	} {
		if got := portsText(reachable(ports, address)); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

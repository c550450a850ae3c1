package loader

import (
	"fmt"
	"strings"
	"testing"
)

func fiftyServices() string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range 50 {
		fmt.Fprintf(&b, `  s%d:
    image: app:v%d
    command: [run, --number, "%d"]
    environment: {A: "1", B: "${HOME:-none}"}
    ports: ["%d:80"]
    volumes: ["data:/data"]
    deploy: {replicas: 2, resources: {reservations: {cpus: "0.25", memory: 64M}}}
    healthcheck: {test: [CMD, "true"], interval: 5s}
`, i, i, i, 8000+i)
		if i > 0 {
			fmt.Fprintf(&b, "    depends_on: [s%d]\n", i-1)
		}
	}
	b.WriteString("volumes:\n  data: {}\n")
	return b.String()
}

func BenchmarkLoadFiftyServices(b *testing.B) {
	for _, c := range []struct {
		name string
		seen Seen
	}{{"first", nil}, {"again", &memory{keys: map[string]bool{}}}} {
		b.Run(c.name, func(b *testing.B) {
			text, dir := fiftyServices(), b.TempDir()
			b.ReportAllocs()
			for b.Loop() {
				o := Options{Files: []string{"-"}, Stdin: strings.NewReader(text), WorkingDir: dir, Seen: c.seen}
				if _, err := Load(b.Context(), o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

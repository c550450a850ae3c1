package logs

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
)

func TestLinesArePrintedAsComposePrintsThem(t *testing.T) {
	stamp := time.Date(2025, 3, 1, 13, 0, 0, 120000000, time.FixedZone("", 3600))
	for _, c := range []struct {
		name     string
		o        PrinterOptions
		out, err string
	}{
		{"monochrome", PrinterOptions{}, "web-1       | hello\nweb-1 exited with code 3\n", "postgres-1  | oops\n"},
		{"without prefix", PrinterOptions{NoPrefix: true}, "hello\nweb-1 exited with code 3\n", "oops\n"},
		{
			"timestamps", PrinterOptions{Timestamps: true},
			"web-1       | 2025-03-01T12:00:00.120000000Z hello\nweb-1 exited with code 3\n",
			"postgres-1  | 2025-03-01T12:00:00.120000000Z oops\n",
		},
		{
			"colours", PrinterOptions{Color: true},
			"\x1b[36mweb-1       | \x1b[0mhello\n\x1b[36m\r\x1b[Kweb-1 exited with code 3\n\x1b[0m",
			"\x1b[33mpostgres-1  | \x1b[0moops\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs strings.Builder
			p := NewPrinter(&out, &errs, c.o)
			p.Register("web-1", "postgres-1")
			p.Line(Stream{Label: "web-1"}, Line{Time: stamp, Text: []byte("hello")})
			p.Line(Stream{Label: "postgres-1"}, Line{Time: stamp, Text: []byte("oops"), Stderr: true})
			p.Status("web-1", "exited with code 3")
			if err := p.Flush(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{c.out, c.err}, []string{out.String(), errs.String()}); diff != "" {
				t.Errorf("output and errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrefixesWidenWithTheWidestLabelAndColoursGoRound(t *testing.T) {
	var b strings.Builder
	p := NewPrinter(&b, &b, PrinterOptions{Color: true})
	for _, label := range []string{"a-1", "abc-1", "a-1", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
		p.Line(Stream{Label: label}, Line{Stderr: label == "c"})
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "\x1b[36ma-1  | \x1b[0m\n\x1b[33mabc-1  | \x1b[0m\n\x1b[36ma-1    | \x1b[0m\n" +
		"\x1b[32mc      | \x1b[0m\n\x1b[35md      | \x1b[0m\n\x1b[34me      | \x1b[0m\n\x1b[36;1mf      | \x1b[0m\n" +
		"\x1b[33;1mg      | \x1b[0m\n\x1b[32;1mh      | \x1b[0m\n\x1b[35;1mi      | \x1b[0m\n\x1b[34;1mj      | \x1b[0m\n" +
		"\x1b[36mk      | \x1b[0m\n\x1b[33ml      | \x1b[0m\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestABrokenOutputIsReportedByFlush(t *testing.T) {
	broken := errors.New("no space left on device")
	p := NewPrinter(failing{broken}, discard{}, PrinterOptions{})
	p.Line(Stream{Label: "web-1"}, Line{Text: []byte("x")})
	if err := p.Flush(); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestLabelsAreNamesWithoutTheProject(t *testing.T) {
	labels := map[string]string{projectLabel: "p", serviceLabel: "web", numberLabel: "2"}
	for name, want := range map[string]string{
		"p-web-2": "web-2", "p_web_2": "web_2", "frontend": "frontend", "p-web-run-0123456789ab": "p-web-run-0123456789ab",
	} {
		if got := Label(placement.Container{Name: name, Labels: labels}); got != want {
			t.Errorf("%s: label %q, want %q", name, got, want)
		}
	}
}

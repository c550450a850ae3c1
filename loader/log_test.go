package loader

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
)

func TestTheLogGoesBackToWhereItWas(t *testing.T) {
	var log bytes.Buffer
	old := logrus.StandardLogger().Out
	logrus.SetOutput(&log)
	defer logrus.SetOutput(old)

	newWorld(t, web("hostname: ${UNSET}")).mustLoad()
	if log.Len() > 0 {
		t.Errorf("the load wrote to the log: %s", log.String())
	}
	logrus.Warn("after")
	if !strings.Contains(log.String(), "after") {
		t.Error("the log is not back at its own output")
	}
}

func TestLoadsSideBySideKeepTheirWarnings(t *testing.T) {
	var wait sync.WaitGroup
	for _, name := range []string{"A", "B", "C", "D"} {
		w := newWorld(t, web("hostname: ${"+name+"}"))
		wait.Go(func() {
			p, err := w.load()
			if err != nil {
				t.Error(err)
				return
			}
			want := []string{`The "` + name + `" variable is not set. Defaulting to a blank string.`}
			if diff := cmp.Diff(want, p.Warnings); diff != "" {
				t.Error(diff)
			}
		})
	}
	wait.Wait()
}

func TestRawEnvFilesAreTakenAsTheyAre(t *testing.T) {
	lookup := func(k string) (string, bool) { return "looked up", k == "FROM" }
	got := map[string]string{}
	err := rawEnv(strings.NewReader("\xef\xbb\xbfA=1\n\n# no\n  B=\"$A\"  \nFROM\nGONE\nE=\n"), "f", got, lookup)
	want := map[string]string{"A": "1", "B": `"$A"  `, "FROM": "looked up", "E": ""}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for text, want := range map[string]string{
		"A=1\n=2\n": "env file f:2: there is no variable name before the =",
		"A B=2\n":   `env file f:1: variable name "A B" has white space in it`,
		"A=\xff\n":  "env file f:1: this line is not UTF-8",
	} {
		if err := rawEnv(strings.NewReader(text), "f", got, lookup); err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}

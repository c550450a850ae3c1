package cli

import (
	"strings"
	"testing"
)

func TestFlagsMayStandWhereComposeUsersWriteThem(t *testing.T) {
	app := newApp(&settings{})
	for written, want := range map[string]string{
		"berth up web -d":                           "berth up -d web",
		"berth up -d web --scale web=3 db":          "berth up -d --scale web=3 web db",
		"berth -f a.yml up web -d":                  "berth -f a.yml up -d web",
		"berth up -d --progress plain web":          "berth --progress plain up -d web",
		"berth up --progress=plain web -d":          "berth --progress=plain up -d web",
		"berth logs web -fn 5 -t":                   "berth logs -f -n 5 -t web",
		"berth logs -fn5 web":                       "berth logs -f -n=5 web",
		"berth down -vt0":                           "berth down -v -t=0",
		"berth down -xyz":                           "berth down -xyz",
		"berth exec web ls -la":                     "berth exec -- web ls -la",
		"berth exec -it web sh -c -- x":             "berth exec -i -t -- web sh -c -- x",
		"berth exec -itu root -eA=B web ls":         "berth exec -i -t -u root -e=A=B -- web ls",
		"berth run --rm -vx:/y web -p 80":           "berth run --rm -v=x:/y -- web -p 80",
		"berth run --dry-run web --dry-run":         "berth --dry-run run -- web --dry-run",
		"berth exec --env A=B -e C=D web ls":        "berth exec --env A=B --env C=D -- web ls",
		"berth run -eA=B --env=C=D -T --no-TTY web": "berth run -e=A=B -e=C=D -T -T -- web",
		"berth --file a.yml ps -f b.yml":            "berth --file a.yml --file b.yml ps",
		"berth exec -e A=B -- web -d":               "berth exec -e A=B -- web -d",
		"berth logs -f web":                         "berth logs -f web",
		"berth ps -q":                               "berth ps -q",
		"berth down -v -- -odd":                     "berth down -v -- -odd",
		"berth store dump":                          "berth store dump",
		"berth store restore b.json --dry-run -y":   "berth store restore --dry-run -y b.json",
		"berth store status -i h.yml --format json": "berth -i h.yml store status --format json",
		"berth store -i h.yml backup config":        "berth -i h.yml store backup config",
		"berth store backup --help":                 "berth store backup --help",
		"berth store nosuch -x":                     "berth store nosuch -x",
		"berth secret create a b -lx=y":             "berth secret create -l=x=y a b",
		"berth -fa.yml -pshop up -d":                "berth -f=a.yml -p=shop up -d",
		"berth --dry-run up":                        "berth --dry-run up",
		"berth up --dry-run web":                    "berth --dry-run up web",
		"berth scale web=3 --no-deps":               "berth scale --no-deps web=3",
		"berth -p x --inventory h.yml ps -a":        "berth -p x --inventory h.yml ps -a",
	} {
		if got := strings.Join(arrange(app, strings.Fields(written)), " "); got != want {
			t.Errorf("%s becomes %s, want %s", written, got, want)
		}
	}
}

func TestScaleWordsAreServiceAndNumber(t *testing.T) {
	got, err := parseScale([]string{"web=3", "db=0"})
	if err != nil || got["web"] != 3 || got["db"] != 0 || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"web", "web=", "=3", "web=x", "web=-1"} {
		if _, err := parseScale([]string{bad}); err == nil || !strings.Contains(err.Error(), "SERVICE=N") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command runs berth in a folder with these files; hosts.yml names engines that are not there.
func command(t *testing.T, files map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	files["hosts.yml"] = "hosts: {a: {address: unix:///nowhere/a.sock}, b: {address: unix:///nowhere/b.sock}}"
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, said strings.Builder
	t.Setenv("XDG_CACHE_HOME", dir)
	code = Main(append([]string{"berth"}, args...), Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &said, Dir: dir})
	return code, out.String(), said.String()
}

func TestADryRunChangesNothing(t *testing.T) {
	for args, want := range map[string]string{
		"--dry-run secret create token -":           "create secret token of 0 bytes\n",
		"--dry-run config-object create c x.conf":   "create config c of 3 bytes\n",
		"config -o /nowhere/out --dry-run":          "write 119 bytes to /nowhere/out\n",
		"secret rm a b --dry-run":                   "remove secret a\nremove secret b\n",
		"--dry-run store migrate etcd://10.0.0.9:1": "copy the store to etcd://10.0.0.9:1 and have all agents use it\n",
		"--dry-run store rotate-keys":               "change the keys on all hosts that are on an encrypted network\n",
	} {
		code, out, said := command(t, map[string]string{"x.conf": "abc", "compose.yaml": "name: shop\nservices: {web: {image: a}}"}, strings.Fields(args)...)
		if code != 0 || out != want {
			t.Errorf("%s: code %d, printed %q, want %q; said %s", args, code, out, want, said)
		}
	}
}

func TestFlagsThatContradictEachOtherAreRefused(t *testing.T) {
	for _, args := range []string{
		"up --exit-code-from web --wait", "up --attach-dependencies --wait", "up --attach-dependencies -d",
		"up -d --renew-anon-volumes --no-recreate", "plan --force-recreate --no-recreate",
	} {
		code, _, said := command(t, map[string]string{"compose.yaml": "services: {web: {image: a}}"}, strings.Fields(args)...)
		if code != 1 || !strings.Contains(said, "are incompatible") {
			t.Errorf("%s: code %d, said %s", args, code, said)
		}
	}
	code, _, said := command(t, map[string]string{"compose.yaml": "services: {web: {image: a}}"}, "run", "--pull", "sometimes", "web")
	if code != 1 || !strings.Contains(said, `invalid --pull option "sometimes"`) {
		t.Errorf("run --pull sometimes: code %d, said %s", code, said)
	}
}

func TestQuietIsAboutTheModelAndNotAboutLists(t *testing.T) {
	for flags, want := range map[string]string{"": "", "--services": "web\n", "--environment": "", "--services --environment": "web\n"} {
		files := map[string]string{"compose.yaml": "services: {web: {image: a}}"}
		code, out, said := command(t, files, append([]string{"config", "-q"}, strings.Fields(flags)...)...)
		if code != 0 || out != want {
			t.Errorf("config -q %s: code %d, printed %q, want %q; said %s", flags, code, out, want, said)
		}
	}
}

func TestAmongProgressInJSONErrorsAreObjects(t *testing.T) {
	code, _, said := command(t, map[string]string{}, "--progress", "json", "ps")
	if code != 1 || !strings.HasPrefix(said, `{"error":true,"message":"load: no compose file found`) {
		t.Errorf("code %d, said %s; want an object", code, said)
	}
}

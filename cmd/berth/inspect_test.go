package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"berth/fixtures/lab/lab"
	"berth/loader"
)

// differences are where berth's containers are not as docker compose's, by container and place, and why.
var differences = map[string]string{
	"the-most Config.StopTimeout":                        "rounded up, so that a stop never cuts the grace period short",
	"the-most Config.ExposedPorts":                       "docker compose exposes what was written, also a range as one port",
	"the-most NetworkSettings.Networks.keys_front.Links": "docker compose gives each of several linked containers the number of the first",
	"the-most NetworkSettings.Networks.the-back.Links":   "the same",
	"shares HostConfig.VolumesFrom":                      "docker compose loses the mode of volumes_from: service:ro",
	"shares Mounts./of-empty":                            "the same",
}

// notCompared are the service keys that testdata/keys does not have, and why.
var notCompared = map[string]string{
	"Name": "its key", "Extends": "gone once loaded", "LabelFiles": "gone once loaded", "EnvFiles": "gone once loaded", "Build": "images are not containers", "Develop": "not about containers",
	"Provider": "no container", "Models": "not honoured", "PreStart": "not honoured", "PullRefreshAfter": "not honoured",
	"CredentialSpec": "Windows", "Umask": "not honoured", "Gpus": "the machine has none, and the engine refuses",
	"CPURTPeriod": "needs a realtime kernel", "CPURTRuntime": "needs a realtime kernel", "StorageOpt": "needs a file system with quotas",
	"PostStart": "run, not created", "PreStop": "run, not created", "Net": "not in the schema", "LogDriver": "not in the schema",
	"LogOpt": "not in the schema", "VolumeDriver": "not in the schema", "Dockerfile": "not in the schema", "CustomLabels": "not in files",
	"CPUS": "excludes cpu_period, in service other", "Extensions": "x-…", "OomKillDisable": "in service other", "Scale": "in service other",
}

func TestContainersAreWhatDockerComposeMakesOfTheSameFile(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(1), lab.Images("web", "busybox"))
	text, err := os.ReadFile("testdata/keys/compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, nil, string(text))
	w.lab, w.project = l, "keys"
	for name, content := range map[string]string{"conf/x": "hi\n", "secret.txt": "s3\n", "a.env": "FROM_FILE=1\n", "labels.env": "from.file=1\n",
		"seccomp.json": `{"defaultAction": "SCMP_ACT_ALLOW"}`} {
		w.write(name, content)
	}
	w.env = append(w.env, "DOCKER_HOST=unix://"+l.Hosts()[0].Socket(), "COMPOSE_PROJECT_NAME=keys", "COMPOSE_PROFILES=p", "FROM_HOST=h", "SECRET_ENV=top")
	t.Cleanup(func() { w.berth("down", "-v", "-t", "0") })
	peer := compose(t)
	run := func(program string, args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), commandTime)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir, cmd.Env = w.dir, w.env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", filepath.Base(program), args, err, out)
		}
	}
	run(peer, "up", "--no-start")
	theirs := inspected(t, w)
	run(peer, "down", "-v")
	run(binary, "up", "--no-start")
	ours := inspected(t, w)

	if len(theirs) < 10 {
		t.Fatalf("docker compose made %v only", slices.Sorted(maps.Keys(theirs)))
	}
	found := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		compare(name, "", theirs[name], ours[name], func(place string, their, our any) {
			found[place] = true
			if differences[place] == "" {
				t.Errorf("%s: docker compose has %v, berth %v", place, their, our)
			}
		})
	}
	for place := range differences {
		if !found[place] {
			t.Errorf("%s does not differ any more; take it off the list", place)
		}
	}
	everyKeyIsSet(t, w)
}

// everyKeyIsSet wants each key of a service in the file, so that what is new in compose-go is compared too.
func everyKeyIsSet(t *testing.T, w *world) {
	t.Helper()
	p, err := loader.Load(t.Context(), loader.Options{WorkingDir: w.dir, Environ: w.env})
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]bool{}
	var walk func(v reflect.Value, visit func(name string, v reflect.Value))
	walk = func(v reflect.Value, visit func(string, reflect.Value)) {
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Anonymous {
				walk(v.Field(i), visit)
			} else {
				visit(f.Name, v.Field(i))
			}
		}
	}
	for _, s := range p.Compose.Services {
		walk(reflect.ValueOf(s), func(name string, v reflect.Value) { set[name] = set[name] || !v.IsZero() })
	}
	for name, is := range set {
		if !is && notCompared[name] == "" {
			t.Errorf("no service of testdata/keys/compose.yml sets %s; add it, or say in notCompared why not", name)
		}
	}
}

// inspected is what the engine says of the project's containers, networks and volumes in comparable form, by name.
func inspected(t *testing.T, w *world) map[string]any {
	t.Helper()
	h := w.lab.Hosts()[0]
	docker := func(args ...string) string {
		t.Helper()
		out, err := h.Run(t.Context(), append([]string{"docker"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	filter := "label=com.docker.compose.project=keys"
	list := func(kind string, args ...string) []any {
		t.Helper()
		ids := strings.Fields(docker(append(args, "-q", "--filter", filter)...))
		var all []any
		if err := json.Unmarshal([]byte(docker(append([]string{kind, "inspect"}, ids...)...)), &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	containers := list("container", "ps", "-a", "--no-trunc")
	names := map[string]string{}
	for _, c := range containers {
		names[at(c, "Id").(string)] = strings.TrimPrefix(strings.TrimPrefix(at(c, "Name").(string), "/"), "keys-")
	}
	all := map[string]any{}
	for _, c := range containers {
		name := names[at(c, "Id").(string)]
		all[strings.TrimSuffix(name, "-1")] = prune(comparable(c.(map[string]any), names))
	}
	for _, n := range list("network", "network", "ls") {
		m := n.(map[string]any)
		if m["Name"] == "the-back" || m["Name"] == "keys_default" {
			delete(m, "IPAM") // the engine's choice
		}
		all["network "+m["Name"].(string)] = prune(without(m, "Id", "Created"))
	}
	for _, v := range list("volume", "volume", "ls") {
		m := v.(map[string]any)
		all["volume "+m["Name"].(string)] = without(m, "CreatedAt")
	}
	return all
}

// at follows names into a tree of JSON.
func at(tree any, names ...string) any {
	for _, n := range names {
		m, _ := tree.(map[string]any)
		tree = m[n]
	}
	return tree
}

func without(m map[string]any, names ...string) map[string]any {
	for _, n := range names {
		delete(m, n)
	}
	return m
}

// comparable takes out of an inspected container what no two have alike, and the order of what has none.
func comparable(c map[string]any, names map[string]string) map[string]any {
	id := c["Id"].(string)
	for name := range c {
		if strings.HasSuffix(name, "Path") {
			delete(c, name)
		}
	}
	without(c, "Id", "Created", "GraphDriver")
	config, host := c["Config"].(map[string]any), c["HostConfig"].(map[string]any)
	if strings.HasPrefix(id, config["Hostname"].(string)) {
		delete(config, "Hostname")
	}
	labels := config["Labels"].(map[string]any)
	for l := range labels {
		if strings.HasPrefix(l, "berth.") {
			delete(labels, l)
		}
	}
	delete(labels, "com.docker.compose.config-hash") // depends on compose-go's version
	labels["com.docker.compose.depends_on"] = sortedWords(strings.Split(labels["com.docker.compose.depends_on"].(string), ","))
	config["Env"], host["ExtraHosts"] = set(config["Env"]), set(host["ExtraHosts"])
	exposed, _ := config["ExposedPorts"].(map[string]any)
	config["ExposedPorts"] = sortedWords(slices.Collect(maps.Keys(exposed)))
	delete(host, "Binds") // as Mounts has them
	options := map[string]any{}
	if mounts, ok := host["Mounts"].([]any); ok {
		for _, m := range mounts {
			options[at(m, "Target").(string)] = map[string]any{"tmpfs": at(m, "TmpfsOptions"), "volume": at(m, "VolumeOptions")}
		}
	}
	host["Mounts"] = options
	mounted := map[string]any{}
	for _, m := range c["Mounts"].([]any) {
		source := at(m, "Source")
		if n, ok := at(m, "Name").(string); ok && regexp.MustCompile("^[0-9a-f]{64}$").MatchString(n) {
			source = "anonymous"
		}
		mounted[path.Clean(at(m, "Destination").(string))] = fmt.Sprint(at(m, "Type"), source, at(m, "RW"), at(m, "Propagation"))
	}
	c["Mounts"] = mounted
	if limits, ok := host["Ulimits"].([]any); ok {
		slices.SortFunc(limits, func(a, b any) int { return strings.Compare(at(a, "Name").(string), at(b, "Name").(string)) })
	}
	for _, key := range []string{"NetworkMode", "IpcMode", "PidMode"} {
		if of, ok := strings.CutPrefix(host[key].(string), "container:"); ok {
			host[key] = names[of]
		}
	}
	if from, ok := host["VolumesFrom"].([]any); ok {
		for i := range from {
			of, mode, _ := strings.Cut(from[i].(string), ":")
			from[i] = names[of] + ":" + mode
		}
		host["VolumesFrom"] = set(from)
	}
	networks, _ := at(c, "NetworkSettings", "Networks").(map[string]any)
	for _, n := range networks {
		m := without(n.(map[string]any), "IPAddress")
		m["Links"] = set(m["Links"])
		aliases, _ := m["Aliases"].([]any)
		m["Aliases"] = set(slices.DeleteFunc(aliases, func(a any) bool { return strings.HasPrefix(id, a.(string)) }))
	}
	return c
}

// set is a list of strings without their order.
func set(list any) any {
	all, _ := list.([]any)
	var words []string
	for _, w := range all {
		words = append(words, w.(string))
	}
	return sortedWords(words)
}

func sortedWords(words []string) string {
	slices.Sort(words)
	return strings.Join(words, " ")
}

// prune leaves out what is empty: engines write null, [] and {} for the same.
func prune(tree any) any {
	switch v := tree.(type) {
	case map[string]any:
		for k := range v {
			if v[k] = prune(v[k]); v[k] == nil {
				delete(v, k)
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		for i := range v {
			v[i] = prune(v[i])
		}
	case string:
		if v == "" {
			return nil
		}
	}
	return tree
}

// compare calls differs for each place where two trees are not the same.
func compare(name, place string, their, our any, differs func(place string, their, our any)) {
	if reflect.DeepEqual(their, our) {
		return
	}
	a, isMap := their.(map[string]any)
	b, both := our.(map[string]any)
	if !isMap || !both {
		differs(name+" "+place, their, our)
		return
	}
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	for k := range keys {
		compare(name, strings.TrimPrefix(place+"."+k, "."), a[k], b[k], differs)
	}
}

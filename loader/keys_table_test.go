package loader

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"
)

// A compose-go that knows more keys must not make berth ignore them in silence.
func TestTheReadmeListsEveryKeyOfTheSchemaAndOfComposeGosTypesOnce(t *testing.T) {
	listed := keyTable(t)
	known := map[string]bool{}
	for _, k := range slices.Concat(typeKeys(), schemaPaths()) {
		if !whole(k) {
			known[k] = true
		}
	}
	for k := range known {
		if _, ok := listed[k]; !ok {
			t.Errorf("key %s is not in README.md: say there whether it is honoured", k)
		}
	}
	for k := range listed {
		if !known[k] {
			t.Errorf("README.md has key %s, which compose-go does not", k)
		}
	}
}

func TestTheReadmeGivesTheReasonOfEachKeyNotHonoured(t *testing.T) {
	listed := keyTable(t)
	reasons := map[string]bool{}
	for _, k := range unhonouredKeys {
		key := k.key
		if k.project == nil {
			key = "services." + key
		}
		if strings.HasPrefix(k.key, "labels.") {
			continue // a label, not a key
		}
		entry := listed[key]
		said := entry.host
		if k.cluster {
			said = entry.cluster
		}
		if said != "no: "+k.reason {
			t.Errorf("README.md says %q of %s, and the warning is %q", said, key, k.reason)
		}
		reasons["no: "+k.reason] = true
	}
	for key, entry := range listed {
		for _, said := range []string{entry.host, entry.cluster} {
			if strings.HasPrefix(said, "no") && !reasons[said] {
				t.Errorf("README.md says %q of %s, and no warning does", said, key)
			}
		}
	}
}

// entry is what README.md says of a key.
type entry struct{ host, cluster string }

// keyTable reads the tables between the marks in README.md.
func keyTable(t *testing.T) map[string]entry {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "<!-- keys -->\n")
	text, _, found := strings.Cut(text, "<!-- /keys -->")
	if !found {
		t.Fatal("README.md has no tables of keys")
	}
	all, section := map[string]entry{}, ""
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "### "); ok {
			if section = name + "."; name == "(top)" {
				section = ""
			}
		}
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 {
			t.Fatalf("README.md: want three columns: %s", line)
		}
		said := entry{strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])}
		for _, k := range strings.Fields(cells[1]) {
			key := section + strings.Trim(k, "`")
			if _, twice := all[key]; twice {
				t.Errorf("README.md lists %s twice", key)
			}
			all[key] = said
		}
	}
	return all
}

// whole reports keys that are covered by the key they stand under: what a hook before the start and a job take is what a
// service takes.
func whole(key string) bool {
	return strings.HasPrefix(key, "services.pre_start.") || strings.HasPrefix(key, "jobs.") || key == "services.deploy"
}

// typeKeys are the keys that compose-go has a field for, as far as its schema lets a file have them.
func typeKeys() []string {
	admitted := schemaPaths()
	var keys []string
	var walk func(prefix string, t reflect.Type)
	walk = func(prefix string, t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return
		}
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case f.Anonymous:
				walk(prefix, f.Type)
			case !f.IsExported() || name == "-" || f.Name == "Extensions":
			default:
				if name == "" {
					name = strings.ToLower(f.Name)
				}
				key := strings.TrimPrefix(prefix+"."+name, ".")
				if slices.Contains(admitted, key) {
					keys = append(keys, key)
				}
				if !whole(key + ".") {
					walk(key, f.Type)
				}
			}
		}
	}
	walk("", reflect.TypeFor[types.Project]())
	return keys
}

// schemaPaths are the keys of the schema without the names of services, networks … and without the places in lists.
func schemaPaths() []string {
	var all []string
	for _, pattern := range schema.AttributePaths() {
		parts := slices.DeleteFunc(pattern.Parts(), func(p string) bool { return p == tree.PathMatchAll || p == tree.PathMatchList })
		all = append(all, strings.Join(parts, "."))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

package loader

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// trimmed are compose-go's options for one file of a text, and what they are without trim.
func trimmed(text string) (cut, whole *loader.Options) {
	details := types.ConfigDetails{}
	whole = loader.ToOptions(&details, nil)
	s := &sources{opts: &Options{}, name: "shop", files: []types.ConfigFile{{Content: []byte(text)}}}
	return loader.ToOptions(&details, []func(*loader.Options){s.trim}), whole
}

// model is a document that has a value at a pattern's path.
func model(parts []string, value string) any {
	if len(parts) == 0 {
		return value
	}
	inner := model(parts[1:], value)
	switch parts[0] {
	case tree.PathMatchList:
		return []any{inner}
	case tree.PathMatchAll:
		return map[string]any{"any": inner}
	}
	return map[string]any{parts[0]: inner}
}

// secret is a key in base64.
func secret(key string) string { return base64.StdEncoding.EncodeToString([]byte(key)) }

func TestWhatAFileHasIsCastHoweverItIsSpelt(t *testing.T) {
	_, whole := trimmed("")
	for pattern := range whole.Interpolate.TypeCastMapping {
		m := model(pattern.Parts(), "${V}")
		block, err := yaml.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		flow, _ := json.Marshal(m)
		last := pattern.Last()
		for _, text := range []string{
			string(block), string(flow), strings.ReplaceAll(string(flow), ":", " : "),
			"&a " + string(flow),
			strings.ReplaceAll(string(flow), `"`+last+`"`, "? "+last+"\n"),
			strings.ReplaceAll(string(flow), `"`+last+`"`, "'"+last+"'"),
			strings.ReplaceAll(string(flow), `"`+last+`"`, fmt.Sprintf(`"\x%x%s"`, last[0], last[1:])),
			strings.ReplaceAll(string(flow), `"`+last+`"`, fmt.Sprintf(`"\u%04x%s"`, last[0], last[1:])),
			strings.ReplaceAll(string(flow), `"`+last+`"`, `"`+last[:1]+"\\\n"+last[1:]+`"`),
			strings.Join(strings.Split(string(flow), ""), "\x00"),
			strings.ReplaceAll(string(flow), `"`+last+`"`, "? !!binary "+secret(last)+"\n"),
			strings.ReplaceAll(string(flow), `"`+last+`"`, "? !<tag:yaml.org,2002:binary> "+secret(last)+"\n"),
			strings.ReplaceAll(string(flow), `"`+last+`"`, "? !!%62inary "+secret(last)+"\n"),
			"%TAG ! tag:yaml.org,2002:bin\n---\n" + strings.ReplaceAll(string(flow), `"`+last+`"`, "? !ary "+secret(last)+"\n"),
		} {
			cut, _ := trimmed(text)
			if _, ok := cut.Interpolate.TypeCastMapping[pattern]; !ok {
				t.Errorf("%s is not cast in %q", pattern, text)
			}
		}
	}
}

func TestAFileThatNamesNothingIsNotAskedForIt(t *testing.T) {
	for _, c := range []struct {
		text     string
		casts    int
		explicit bool
	}{
		{"services: {web: {image: a, container_name: b}}", 0, true},
		{"services: {web: {image: a, tty: true}}", 1, true},
		{"name: x\nservices: {web: {image: a}}", 0, false},
		{`{"name":"x","services":{"web":{"image":"a"}}}`, 0, false},
		{"services: {web: {image: a, extends: b}}", -1, false},
		{"include: [a.yaml]", -1, false},
	} {
		cut, whole := trimmed(c.text)
		want := c.casts
		if want < 0 {
			want = len(whole.Interpolate.TypeCastMapping)
		}
		if got := len(cut.Interpolate.TypeCastMapping); got != want {
			t.Errorf("%s: %d casts, want %d", c.text, got, want)
		}
		if _, explicit := cut.GetProjectName(); explicit != c.explicit {
			t.Errorf("%s: name explicit %v", c.text, explicit)
		}
	}
}

package engine

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	control "github.com/moby/buildkit/api/services/control"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// answer writes a build's messages as an engine does.
func answer(t *testing.T, messages ...any) string {
	t.Helper()
	var b strings.Builder
	for _, m := range messages {
		if status, ok := m.(*control.StatusResponse); ok {
			raw, err := status.MarshalVT()
			if err != nil {
				t.Fatal(err)
			}
			m = map[string]any{"id": "moby.buildkit.trace", "aux": raw}
		}
		line, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(line)
	}
	return b.String()
}

func TestABuildErrorNamesTheStepAndRepeatsItsLastLines(t *testing.T) {
	at := timestamppb.Now()
	vertex := func(digest, name, failed string, done bool) *control.StatusResponse {
		v := &control.Vertex{Digest: digest, Name: name, Started: at, Error: failed}
		if done {
			v.Completed = at
		}
		return &control.StatusResponse{Vertexes: []*control.Vertex{v}}
	}
	says := func(digest, text string) *control.StatusResponse {
		return &control.StatusResponse{Logs: []*control.VertexLog{{Vertex: digest, Timestamp: at, Msg: []byte(text)}}}
	}
	for name, c := range map[string]struct {
		messages []any
		want     string
	}{
		"a command": {[]any{
			vertex("1", "[1/2] FROM base", "", true), vertex("2", "[2/2] RUN make", "", false), says("2", "one\ntw"), says("2", "o\r\nlast"),
			vertex("2", "[2/2] RUN make", "x", true),
			map[string]string{"error": "executor failed running [/bin/sh -c make]: exit code: 2"},
		}, "step \"[2/2] RUN make\" failed: exit code 2; it printed last:\n    one\n    two\n    last"},
		"a command, newer words": {[]any{
			vertex("2", "[2/2] RUN make", "x", true),
			map[string]string{"error": `failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 2`},
		}, `step "[2/2] RUN make" failed: exit code 2`},
		"a base image": {[]any{
			vertex("1", "[internal] load metadata for docker.io/library/nosuch:1", "x", true),
			map[string]string{"error": "failed to solve with frontend dockerfile.v0: failed to create LLB definition: nosuch: not found"},
		}, "base image nosuch:1 cannot be had: nosuch: not found; correct FROM, or bring it to the host that builds"},
		"the classic builder": {[]any{
			map[string]string{"stream": "Step 1/2 : FROM base\n"}, map[string]string{"stream": " ---> 123\n"},
			map[string]string{"stream": "Step 2/2 : RUN make\n"}, map[string]string{"stream": "no rule\n"},
			map[string]string{"error": "The command '/bin/sh -c make' returned a non-zero code: 2"},
		}, "step \"[2/2] RUN make\" failed: exit code 2; it printed last:\n    no rule"},
		"no step": {[]any{map[string]string{"error": "failed to create LLB definition: dockerfile parse error line 2: unknown instruction: RUNN"}},
			"dockerfile parse error line 2: unknown instruction: RUNN"},
	} {
		t.Run(name, func(t *testing.T) {
			log := &buildLog{steps: map[string]*buildStep{}}
			_, err := log.follow(strings.NewReader(answer(t, c.messages...)))
			var failed *BuildError
			if !errors.As(err, &failed) {
				t.Fatalf("error %v, want a BuildError", err)
			}
			if diff := cmp.Diff(c.want, failed.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestABuildTellsItsStepsAndItsImage(t *testing.T) {
	at := timestamppb.Now()
	var news []BuildNews
	log := &buildLog{steps: map[string]*buildStep{}, news: func(n BuildNews) { news = append(news, n) }}
	id, err := log.follow(strings.NewReader(answer(t,
		&control.StatusResponse{Vertexes: []*control.Vertex{{Digest: "1", Name: "[1/1] FROM base", Started: at}}},
		&control.StatusResponse{Vertexes: []*control.Vertex{{Digest: "1", Name: "[1/1] FROM base", Started: at, Completed: at, Cached: true}}},
		map[string]any{"id": "moby.image.id", "aux": map[string]string{"ID": "sha256:1"}})))
	if id != "sha256:1" || err != nil {
		t.Errorf("image %q, error %v", id, err)
	}
	want := []BuildNews{{Number: 1, Step: "[1/1] FROM base", Began: true}, {Number: 1, Step: "[1/1] FROM base", Ended: true, Cached: true}}
	if diff := cmp.Diff(want, news); diff != "" {
		t.Error(diff)
	}
}

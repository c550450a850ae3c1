package images

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAdditionalContextsBecomeStages(t *testing.T) {
	stages := []stage{{"base", "app-base"}, {"files", "berth-context/1:app-web"}}
	for name, c := range map[string]struct{ in, want string }{
		"after directives and global arguments": {
			"# syntax=docker/dockerfile:1\nARG V=1\n\nFROM base\nCOPY --from=files a b\n",
			"# syntax=docker/dockerfile:1\nARG V=1\n\nFROM app-base AS base\nFROM berth-context/1:app-web AS files\nFROM base\nCOPY --from=files a b\n"},
		"stages by number keep their meaning": {
			"from golang AS build\nRUN --mount=type=bind,from=0,target=/x true\nFROM scratch\nCOPY --from=0 a b\nCOPY --from=1file a b\n",
			"FROM app-base AS base\nFROM berth-context/1:app-web AS files\nfrom golang AS build\nRUN --mount=type=bind,from=2,target=/x true\nFROM scratch\nCOPY --from=2 a b\nCOPY --from=1file a b\n"},
		"no stage": {"RUN x\n", "RUN x\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, string(addStages([]byte(c.in), stages))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

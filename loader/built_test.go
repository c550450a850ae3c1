package loader

import (
	"slices"
	"testing"
)

// A build waits for the image of a service that it depends on if its Dockerfile names that image, whatever the way.
func TestABuildUsesTheImagesOfDependenciesThatItsDockerfileNames(t *testing.T) {
	on := "depends_on: [base], build: .}"
	for name, c := range map[string]struct {
		service, dockerfile string
		uses                []string
	}{
		"from":                  {on, "FROM base\n", []string{"base"}},
		"from, in full":         {on, "FROM --platform=linux/amd64 docker.io/library/base:latest AS x\n", []string{"base"}},
		"of another tag":        {on, "FROM base:2\n", nil},
		"a later stage":         {on, "FROM alpine\nfrom base\n", []string{"base"}},
		"copied from":           {on, "FROM alpine\nCOPY --chown=1 --from=base / /\n", []string{"base"}},
		"mounted":               {on, "FROM alpine\nRUN --mount=type=bind,from=base,target=/b ls\n", []string{"base"}},
		"a variable":            {on, "ARG OF=\"base\"\nFROM ${OF}:latest\n", []string{"base"}},
		"a variable's default":  {on, "ARG OF\nFROM ${OF:-base}\n", []string{"base"}},
		"in a comment":          {on, "FROM alpine\n# FROM base\n", nil},
		"an argument":           {"depends_on: [base], build: {context: ., args: {OF: base}}}", "ARG OF=alpine\nFROM $OF\n", []string{"base"}},
		"of the environment":    {"depends_on: [base], build: {context: ., args: [OF]}}", "ARG OF=alpine\nFROM $OF\n", []string{"base"}},
		"in the file itself":    {"depends_on: [base], build: {dockerfile_inline: FROM base}}", "FROM alpine\n", []string{"base"}},
		"through another":       {"depends_on: [middle], build: .}", "FROM base\n", []string{"base"}},
		"a name of the project": {"depends_on: [middle], build: .}", "FROM shop-middle\n", []string{"middle"}},
		"not depended on":       {"build: .}", "FROM base\n", nil},
		"named as a context":    {"depends_on: [base], build: {context: ., additional_contexts: {b: \"service:base\"}}}", "FROM base\n", []string{"base"}},
		"in a repository":       {"depends_on: [base], build: \"https://git.example/base.git\"}", "FROM base\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, `
-- compose.yml --
services:
  base: {image: base, build: ./base}
  middle: {build: ./middle, depends_on: [base]}
  web: {`+c.service+`
-- Dockerfile --
`+c.dockerfile, env("OF=base"))
			if uses := w.mustLoad().Service("web").Build.Uses; !slices.Equal(uses, c.uses) {
				t.Errorf("uses %v, want %v", uses, c.uses)
			}
		})
	}
}

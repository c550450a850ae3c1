package loader

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

// countCopies lets an edit of a secret's or config's file recreate the containers that have a copy of it. On one host
// those are the references with an owner or mode; the other files are bound, and an edit shows at once. Time and size
// stand for the content: everybody may read a config hash. (On a cluster all files are copies, and the cluster counts
// their contents with its key.)
func countCopies(p *placement.Project) error {
	for _, s := range p.Services {
		var marks []string
		add := func(kind string, ref types.FileReferenceConfig, def types.FileObjectConfig) {
			if def.File == "" || ref.UID == "" && ref.GID == "" && ref.Mode == nil {
				return
			}
			path := def.File
			if !filepath.IsAbs(path) {
				path = filepath.Join(p.Dir, path)
			}
			if info, err := os.Stat(path); err == nil { // a missing one is reported when the container is made
				marks = append(marks, fmt.Sprintf("%s %s %d %d", kind, ref.Source, info.Size(), info.ModTime().UnixNano()))
			}
		}
		for _, ref := range s.Spec.Secrets {
			add("secret", types.FileReferenceConfig(ref), types.FileObjectConfig(p.Compose.Secrets[ref.Source]))
		}
		for _, ref := range s.Spec.Configs {
			add("config", types.FileReferenceConfig(ref), types.FileObjectConfig(p.Compose.Configs[ref.Source]))
		}
		s.ConfigHash = withContents(s.ConfigHash, marks)
	}
	return nil
}

package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
	"berth/runtime/ledger"
)

// furnish completes a project with what only the cluster knows: the contents of its external secrets and configs, and
// in each service's config hash the fingerprints of all it gets, so that an edit recreates. A service that needs what
// is not there is told so (Absent); the planner refuses to make its containers. Furnishing again begins anew.
func (c *Cluster) furnish(ctx context.Context, p *placement.Project, view *ledger.View) error {
	if p == nil || p.Compose == nil {
		return nil
	}
	p.Contents = map[string][]byte{}
	for _, s := range p.Services {
		base, known := c.hashes[s]
		if !known {
			base = hashes{s.ConfigHash, s.BareHash}
			if c.hashes == nil {
				c.hashes = map[*placement.Service]hashes{}
			}
			c.hashes[s] = base
		}
		f := furnishing{c: c, p: p, s: s, view: view}
		s.ConfigHash, s.BareHash, s.Absent = base.config, base.bare, nil
		for _, ref := range s.Spec.Secrets {
			def, ok := p.Compose.Secrets[ref.Source]
			f.add(ctx, ledger.Secret, ref.Source, types.FileObjectConfig(def), ok)
		}
		for _, ref := range s.Spec.Configs {
			def, ok := p.Compose.Configs[ref.Source]
			f.add(ctx, ledger.Config, ref.Source, types.FileObjectConfig(def), ok)
		}
		if f.err != nil {
			return f.err
		}
		if len(f.marks) > 0 {
			s.ConfigHash, s.BareHash = f.mark(base.config), f.mark(base.bare)
		}
	}
	return nil
}

// hashes are a service's ConfigHash and BareHash.
type hashes struct{ config, bare string }

// mark counts the marks in a hash; one that is not there stays so.
func (f *furnishing) mark(base string) string {
	if base == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(base + "\n" + strings.Join(f.marks, "\n")))
	return hex.EncodeToString(sum[:])
}

// furnishing is the work on one service.
type furnishing struct {
	c     *Cluster
	p     *placement.Project
	s     *placement.Service
	view  *ledger.View
	marks []string
	err   error
}

func (f *furnishing) add(ctx context.Context, kind, source string, def types.FileObjectConfig, known bool) {
	if !known || f.err != nil {
		return // an undefined one is refused when the container is made
	}
	var parts []string
	switch {
	case bool(def.External):
		name := def.Name
		if name == "" {
			name = source
		}
		content, err := f.c.open(ctx, f.view, kind, name)
		if err != nil {
			hint := ""
			if errors.Is(err, errNoObject) {
				hint = fmt.Sprintf("; make it with \"berth %s create %s FILE\"", Command(kind), name)
			}
			f.s.Absent = append(f.s.Absent, fmt.Sprintf("service %s: external %s %s: %s%s", f.s.Name, kind, name, err, hint))
			return
		}
		f.p.Contents[kind+"/"+source] = content
		parts = []string{string(content)}
	case def.Content != "":
		parts = []string{def.Content}
	case def.Environment != "":
		parts = []string{f.p.Compose.Environment[def.Environment]}
	case def.File != "":
		path := def.File
		if !filepath.IsAbs(path) {
			path = filepath.Join(f.p.Dir, path)
		}
		var err error
		if parts, err = readAll(path); err != nil {
			f.s.Absent = append(f.s.Absent, fmt.Sprintf("service %s: %s %s cannot be read: %s", f.s.Name, kind, source, err))
			return
		}
	}
	key, err := f.c.sealKey(ctx)
	if err != nil {
		f.err = fmt.Errorf("service %s: %s %s: %w", f.s.Name, kind, source, err)
		return
	}
	mark, err := fingerprint(key, append([]string{kind, source}, parts...)...)
	f.marks, f.err = append(f.marks, mark), err
}

// Command is the command that works on external secrets or configs.
func Command(kind string) string {
	if kind == ledger.Config {
		return "config-object"
	}
	return kind
}

// readAll gives the content of a file, or the names and contents of a folder's files.
func readAll(root string) ([]string, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		b, err := os.ReadFile(root)
		return []string{string(b)}, err
	}
	var all []string
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, strings.TrimPrefix(path, root), string(b))
		return err
	})
	return all, err
}

package loader

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// place is a key's place in a file.
type place struct {
	file  string // as opened
	line  int
	depth int // how many parts of the path were found
	node  *yaml.Node
}

// document is one YAML document of one file that took part in a load.
type document struct {
	file string
	root *yaml.Node
}

// documents parses the compose files again as node trees, which know their lines, and those that they include or
// extend, as far as these can be read. Only a load that failed pays for it.
func (s *sources) documents() []document {
	var docs []document
	seen := map[string]bool{}
	var add func(file, dir string, content []byte)
	add = func(file, dir string, content []byte) {
		if seen[file] {
			return
		}
		seen[file] = true
		if content == nil {
			var err error
			if content, err = os.ReadFile(file); err != nil {
				return
			}
		}
		for _, root := range parse(content) {
			docs = append(docs, document{file, root})
			for _, f := range references(root) {
				if isRemote(f) {
					continue
				}
				if !filepath.IsAbs(f) {
					f = filepath.Join(dir, f)
				}
				add(f, filepath.Dir(f), nil)
			}
		}
	}
	for _, f := range s.files {
		add(f.Filename, s.dir, f.Content)
	}
	return docs
}

// parse reads all YAML documents of a file up to the first error.
func parse(content []byte) []*yaml.Node {
	var roots []*yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var n yaml.Node
		if err := d.Decode(&n); err != nil {
			return roots
		}
		if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
			roots = append(roots, n.Content[0])
		}
	}
}

// references lists the files that a document includes or extends, as written.
func references(root *yaml.Node) []string {
	var files []string
	_, include := field(root, "include")
	for _, n := range items(include) {
		if _, path := field(n, "path"); path != nil {
			n = path
		}
		for _, p := range append(items(n), n) {
			if p.Kind == yaml.ScalarNode {
				files = append(files, p.Value)
			}
		}
	}
	_, services := field(root, "services")
	for _, name := range keys(services) {
		_, service := field(services, name)
		_, extends := field(service, "extends")
		if _, file := field(extends, "file"); file != nil {
			files = append(files, file.Value)
		}
	}
	return files
}

// find locates a dotted path. Keys may hold dots themselves, so that every split of the path is tried. The deepest
// find wins, and among equals the last file, as its value does.
func find(docs []document, path string) (best place) {
	for _, d := range docs {
		if p := walk(d.root, path, 0); p.node != nil && p.depth >= best.depth {
			p.file = d.file
			best = p
		}
	}
	return best
}

// walk follows path below n. The line is that of the key, or of the item of a list.
func walk(n *yaml.Node, path string, depth int) (best place) {
	if path == "" {
		return place{}
	}
	try := func(name string, at, value *yaml.Node) {
		rest, ok := strings.CutPrefix(path, name)
		if !ok || (rest != "" && rest[0] != '.') {
			return
		}
		p := place{line: at.Line, depth: depth + len(name) + 1, node: value}
		if rest != "" {
			if deeper := walk(value, rest[1:], p.depth); deeper.node != nil {
				p = deeper
			}
		}
		if p.depth > best.depth {
			best = p
		}
	}
	switch n = resolve(n); n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if key.Value != "<<" {
				try(key.Value, key, value)
				continue
			}
			for _, merged := range append(items(value), value) {
				if p := walk(merged, path, depth); p.depth > best.depth {
					best = p
				}
			}
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			try(strconv.Itoa(i), item, item)
			try(itemName(resolve(item)), item, item)
			if name, _, _ := strings.Cut(resolve(item).Value, "="); strings.Contains(name, ":") {
				try(name, item, item) // a variable with a colon in its name
			}
		}
	}
	return best
}

// itemName is what a short form in a list is about: "data" of "data:/var/lib", "KEY" of "KEY=value", the source of a
// mount, secret or config.
func itemName(n *yaml.Node) string {
	if n.Kind == yaml.MappingNode {
		if _, source := field(n, "source"); source != nil {
			return source.Value
		}
		return "\x00"
	}
	name := n.Value
	if i := strings.IndexAny(name, ":="); i > 0 {
		name = name[:i]
	}
	if name == "" {
		return "\x00"
	}
	return name
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil {
		return &yaml.Node{}
	}
	return n
}

// field is the key and value of a mapping's entry, or nils.
func field(n *yaml.Node, name string) (key, value *yaml.Node) {
	n = resolve(n)
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i], resolve(n.Content[i+1])
			}
		}
	}
	return nil, nil
}

// keys lists the keys of a mapping in file order.
func keys(n *yaml.Node) []string {
	n = resolve(n)
	var names []string
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			names = append(names, n.Content[i].Value)
		}
	}
	return names
}

// items lists the items of a sequence.
func items(n *yaml.Node) []*yaml.Node {
	n = resolve(n)
	if n.Kind == yaml.SequenceNode {
		return slices.Clone(n.Content)
	}
	return nil
}

// findValue locates a scalar below `services.<any>.<key>` that want accepts.
func findValue(docs []document, key string, want func(string) bool) (path string, at place) {
	for _, d := range docs {
		_, services := field(d.root, "services")
		for _, name := range keys(services) {
			_, service := field(services, name)
			_, value := field(service, key)
			if n := scalar(value, want, 0); n != nil {
				return "services." + name + "." + key, place{file: d.file, line: n.Line, node: n}
			}
		}
	}
	return "", place{}
}

// scalar is the first scalar in n that want accepts. Depth is bounded: an alias may lead back to what holds it.
func scalar(n *yaml.Node, want func(string) bool, depth int) *yaml.Node {
	if n == nil || depth > 8 {
		return nil
	}
	n = resolve(n)
	if n.Kind == yaml.ScalarNode && want(n.Value) {
		return n
	}
	for _, c := range n.Content {
		if found := scalar(c, want, depth+1); found != nil {
			return found
		}
	}
	return nil
}

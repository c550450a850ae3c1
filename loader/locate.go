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
	file  string
	root  *yaml.Node
	apart bool // a service of the project extends one of its, and the others are not the project's
}

// documents parses the compose files again as node trees, which know their lines, and those that they include or
// extend, as far as these can be read. Only a load that failed pays for it.
func (s *sources) documents() []document {
	type reading struct {
		file, dir string // dir is what paths in it begin at
		content   []byte
	}
	var docs []document
	seen := map[string]bool{}
	var read func(r reading, apart bool) (extended []reading)
	read = func(r reading, apart bool) (extended []reading) {
		if seen[r.file] {
			return nil
		}
		seen[r.file] = true
		if r.content == nil {
			var err error
			if r.content, err = os.ReadFile(r.file); err != nil {
				return nil
			}
		}
		beside := func(file string) reading {
			if !filepath.IsAbs(file) {
				file = filepath.Join(r.dir, file)
			}
			return reading{file: file, dir: filepath.Dir(file)}
		}
		for _, root := range parse(r.content) {
			docs = append(docs, document{r.file, root, apart})
			for _, f := range includedFiles(root) {
				if !isRemote(f) {
					extended = append(extended, read(beside(f), apart)...)
				}
			}
			for _, f := range extendedFiles(root) {
				if !isRemote(f) {
					extended = append(extended, beside(f))
				}
			}
		}
		return extended
	}
	var extended []reading
	for _, f := range s.files {
		extended = append(extended, read(reading{f.Filename, s.dir, f.Content}, false)...)
	}
	for len(extended) > 0 { // after the project's own, of which one may be extended, too
		extended = append(extended[1:], read(extended[0], true)...)
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

// includedFiles are the files that a document includes, as it names them.
func includedFiles(root *yaml.Node) (files []string) {
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
	return files
}

// extendedFiles are the files of services that a document's services extend, as it names them.
func extendedFiles(root *yaml.Node) (files []string) {
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
// find wins, and among equals the last file of the project, as its value does. What a service does not have itself is
// looked for in the one that it extends.
func find(docs []document, path string) place { return findAlong(docs, path, extendsLimit) }

// extendsLimit bounds a chain of services that extend each other: it may be a cycle.
const extendsLimit = 16

func findAlong(docs []document, path string, chain int) (best place) {
	for _, d := range docs {
		if p := walk(d.root, path, 0); p.node != nil && (p.depth > best.depth || p.depth == best.depth && !d.apart) {
			p.file = d.file
			best = p
		}
	}
	if best.depth > len(path) || chain == 0 {
		return best
	}
	if from, key := extended(docs, path); key != "" {
		if p := findAlong(from, key, chain-1); p.depth > len(key) {
			p.depth = len(path) + 1 // found whole
			return p
		}
	}
	return best
}

// extended is where a path in a service goes on in the one that this service extends, "" when it extends none.
func extended(docs []document, path string) (from []document, key string) {
	for _, d := range docs {
		_, services := field(d.root, "services")
		for _, name := range keys(services) {
			rest, ok := strings.CutPrefix(path, "services."+name+".")
			if !ok {
				continue
			}
			_, service := field(services, name)
			_, extends := field(service, "extends")
			from = []document{d}
			if _, file := field(extends, "file"); file != nil {
				name := filepath.Base(file.Value)
				from = slices.DeleteFunc(slices.Clone(docs), func(d document) bool { return filepath.Base(d.file) != name })
			}
			if _, named := field(extends, "service"); named != nil {
				extends = named
			}
			if extends != nil && extends.Kind == yaml.ScalarNode {
				return from, "services." + extends.Value + "." + rest
			}
		}
	}
	return nil, ""
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

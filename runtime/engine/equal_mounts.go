package engine

import (
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

// mounted is a volume, bind or tmpfs in comparable form, whichever of the API's forms it came in.
type mounted struct {
	kind, source string
	readOnly     bool
	options      string // sorted, comma-separated: propagation, SELinux, nocopy, subpath, size …
}

// mountAspects are what is mounted where. Anonymous volumes equal whatever volume stands there. Secrets and configs that
// docker compose bound from a file equal berth's copy of that file.
func mountAspects(want *creation, have container.InspectResponse) []aspect {
	w, h := mountsOf(want.Host), mountsOf(have.HostConfig)
	for target, m := range w {
		if other, ok := h[target]; ok && m.kind == "volume" && m.source == "" && other.kind == "volume" {
			other.source = ""
			h[target] = other
		}
	}
	for _, f := range want.Files {
		if m, ok := w[path.Dir(f.Target)]; ok && m.kind == "volume" && m.source == "" {
			if _, ok := h[path.Dir(f.Target)]; !ok {
				delete(w, path.Dir(f.Target)) // there for the copy alone
			}
		}
		if m, ok := h[f.Target]; ok && f.Path != "" && m.kind == "bind" && m.source == f.Path {
			if _, wanted := w[f.Target]; !wanted {
				delete(h, f.Target)
			}
		} else if !ok && f.Path != "" {
			w[f.Target] = mounted{kind: "missing file"} // made before the file was in the project
		}
	}
	for target, m := range h {
		// Volumes of the image, and those taken over from a predecessor, are not in the file.
		if _, wanted := w[target]; !wanted && m.kind == "volume" && anonymous(m.source) {
			delete(h, target)
		}
	}
	return []aspect{{"volumes", w, h}}
}

// anonymous reports whether a volume has the name of one that the engine named: 64 hex digits.
func anonymous(name string) bool {
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}

func mountsOf(h *container.HostConfig) map[string]mounted {
	all := map[string]mounted{}
	for _, b := range h.Binds {
		source, target, options := splitBind(b)
		m := mounted{kind: "volume", source: source}
		if strings.HasPrefix(source, "/") {
			m.kind, m.source = "bind", path.Clean(source)
		}
		var rest []string
		for _, o := range strings.Split(options, ",") {
			switch o {
			case "ro":
				m.readOnly = true
			case "", "rw", "rprivate": // defaults
			default:
				rest = append(rest, o)
			}
		}
		m.options = strings.Join(sorted(rest), ",")
		all[path.Clean(target)] = m
	}
	for _, mt := range h.Mounts {
		m := mounted{kind: string(mt.Type), source: mt.Source, readOnly: mt.ReadOnly, options: mountOptions(mt)}
		if mt.Type == mount.TypeBind {
			m.source = path.Clean(mt.Source)
		}
		all[path.Clean(mt.Target)] = m
	}
	for target, options := range h.Tmpfs {
		parts := strings.Split(options, ",")
		slices.Sort(parts)
		all[path.Clean(target)] = mounted{kind: "tmpfs", source: "", options: strings.Join(parts, ",")}
	}
	return all
}

func mountOptions(m mount.Mount) string {
	var o []string
	if b := m.BindOptions; b != nil {
		if b.Propagation != "" && b.Propagation != mount.PropagationRPrivate {
			o = append(o, string(b.Propagation))
		}
		for word, set := range map[string]bool{"nonrecursive": b.NonRecursive, "ro-nonrecursive": b.ReadOnlyNonRecursive, "ro-recursive": b.ReadOnlyForceRecursive} {
			if set {
				o = append(o, word)
			}
		}
	}
	if v := m.VolumeOptions; v != nil {
		if v.NoCopy {
			o = append(o, "nocopy")
		}
		if v.Subpath != "" {
			o = append(o, "subpath="+v.Subpath)
		}
	}
	if t := m.TmpfsOptions; t != nil {
		o = append(o, "tmpfs="+jsonHash(t))
	}
	if i := m.ImageOptions; i != nil && i.Subpath != "" {
		o = append(o, "subpath="+i.Subpath)
	}
	return strings.Join(sorted(o), ",")
}

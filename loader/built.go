package loader

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"

	"berth/placement"
)

// useBuilt has a service's image made after those of services that it depends on and that its Dockerfile names, and on
// the same host. docker compose builds in the order of depends_on, and files rely on it; here only those wait for each
// other that have to.
func useBuilt(p *placement.Project) {
	for _, s := range p.Services {
		if s.Build == nil {
			continue
		}
		built := builtBefore(p, s, map[*placement.Service]bool{})
		if len(built) == 0 {
			continue
		}
		from := sourcesOf(s.Spec.Build, p.Compose.Environment)
		for _, d := range built {
			if !slices.Contains(s.Build.Uses, d.Name) && from[familiar(p.ImageName(d))] {
				s.Build.Uses = append(s.Build.Uses, d.Name)
			}
		}
		slices.Sort(s.Build.Uses)
	}
}

// addBases adds the services that others take as additional_contexts and that do not run: they are not selected, or a
// profile switches them off. As with docker compose, that does not keep their images from being built.
func addBases(p *placement.Project) error {
	for i := 0; i < len(p.Services)+len(p.Bases); i++ {
		s := slices.Concat(p.Services, p.Bases)[i]
		if s.Build == nil {
			continue
		}
		for _, name := range s.Build.Uses {
			off, ok := p.Compose.DisabledServices[name]
			if !ok || p.Source(name) != nil {
				continue
			}
			base, err := convertService(p.Compose, off)
			if err != nil {
				return err
			}
			p.Bases = append(p.Bases, base)
		}
	}
	slices.SortFunc(p.Bases, func(a, b *placement.Service) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// builtBefore are the services that a service depends on, itself or through others, and that are built. seen are those that
// were looked at.
func builtBefore(p *placement.Project, s *placement.Service, seen map[*placement.Service]bool) (found []*placement.Service) {
	for _, d := range s.DependsOn {
		on := p.Service(d.Service)
		if on == nil || seen[on] {
			continue
		}
		seen[on] = true
		if on.Build != nil {
			found = append(found, on)
		}
		found = append(found, builtBefore(p, on, seen)...)
	}
	return found
}

// What a Dockerfile names images with: the instruction FROM, the flag --from= of COPY and from= of a mount. Variables
// there are global ARGs.
var (
	fromImage = regexp.MustCompile(`(?im)^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*(\S+)`)
	fromFlag  = regexp.MustCompile(`(?im)[-,=]from=([^\s,]+)`)
	globalArg = regexp.MustCompile(`(?im)^[ \t]*ARG[ \t]+(\w+)=(\S+)`)
)

// sourcesOf are the images that a build's Dockerfile names, in their familiar form. One that cannot be read here, as it is
// in a repository or not there, names none: what is wrong with it shows when it is built.
func sourcesOf(b *types.BuildConfig, environment types.Mapping) map[string]bool {
	text := b.DockerfileInline
	if text == "" {
		file := cmp.Or(b.Dockerfile, "Dockerfile")
		if !filepath.IsAbs(file) {
			file = filepath.Join(b.Context, file)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return nil
		}
		text = string(content)
	}
	args := map[string]string{}
	for _, m := range globalArg.FindAllStringSubmatch(text, -1) {
		args[m[1]] = strings.Trim(m[2], `"'`)
	}
	for name, value := range b.Args {
		switch v, ok := environment[name]; {
		case value != nil:
			args[name] = *value
		case ok:
			args[name] = v
		}
	}
	images := map[string]bool{}
	for _, m := range slices.Concat(fromImage.FindAllStringSubmatch(text, -1), fromFlag.FindAllStringSubmatch(text, -1)) {
		images[familiar(os.Expand(m[1], func(name string) string {
			name, otherwise, _ := strings.Cut(name, ":-")
			return cmp.Or(args[name], otherwise)
		}))] = true
	}
	return images
}

// familiar is an image's name without docker.io and with its tag; what is no name stays as it is.
func familiar(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return reference.FamiliarString(reference.TagNameOnly(named))
}

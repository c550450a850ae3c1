package engine

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/image"
	"golang.org/x/sync/errgroup"

	"berth/placement"
)

// lookUpImages asks for each image that the project names. One of another platform than its service wants counts as
// absent.
func (o *observation) lookUpImages(ctx context.Context) error {
	o.images, o.imageFacts = map[string]string{}, map[string]placement.Image{}
	if o.query.Compose == nil {
		return nil
	}
	wanted := map[string][]string{} // reference → platforms
	for _, s := range o.query.Compose.Services {
		ref := o.query.Compose.ImageName(s)
		wanted[ref] = append(wanted[ref], s.Platform)
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookups)
	for ref, platforms := range wanted {
		g.Go(func() error {
			info, err := o.engine.api.ImageInspect(ctx, ref)
			if IsNotFound(err) {
				return nil
			}
			if err != nil {
				return o.engine.fail("look up image", ref, err)
			}
			for _, p := range platforms {
				want, err := parsePlatform(p)
				if p != "" && err == nil && (want.OS != info.Os || want.Architecture != info.Architecture ||
					want.Variant != "" && info.Variant != "" && want.Variant != info.Variant) {
					return nil
				}
			}
			o.engine.checked.note(info)
			mu.Lock()
			defer mu.Unlock()
			o.images[ref], o.imageFacts[ref] = info.ID, imageFacts(info)
			return nil
		})
	}
	return g.Wait()
}

// listImages asks for the names of all images: IDs, tags, and digests of those without a tag.
func (o *observation) listImages(ctx context.Context) error {
	list, err := o.engine.api.ImageList(ctx, image.ListOptions{})
	for _, i := range list {
		names := i.RepoTags
		if len(names) == 0 {
			names = i.RepoDigests
		}
		for _, name := range slices.Concat(names, []string{i.ID}) {
			if !strings.HasPrefix(name, "<none>") {
				o.imageNames = append(o.imageNames, name)
			}
		}
	}
	slices.Sort(o.imageNames)
	o.imageNames = slices.Compact(o.imageNames)
	return err
}

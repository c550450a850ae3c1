package engine

import (
	"context"
	"fmt"
	"path"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"

	"berth/placement"
)

// What the label berth.seed of a volume says: its content never changes, or it began as a folder and is data.
const (
	seedFixed = "fixed"
	seedData  = "data"
)

// What the containers of a seeding are named, after the volume: the mark, and the one that the volume is filled through.
const (
	markSuffix   = ".seed"
	seederSuffix = ".seeder"
)

// seedDir is where the container that fills a volume has it; no image has such a folder.
const seedDir = "/.berth-seed"

// SeedVolume makes a volume of the project and fills it with the folder that it stands for; owners, modes, links and
// empty folders are kept. It returns one sentence for each thing that cannot be sent (sockets, devices, pipes). A volume
// that is there and complete stays as it is.
//
// It goes through a container of image (an ID or reference that the host has) that is never started. While a container
// with the label berth.seed=<volume> is there, the volume is not complete: one that is nothing but a mark is made before
// the volume and goes last, so that a seeding that was cut short is seen, and done anew from an empty volume.
func (e *Engine) SeedVolume(ctx context.Context, p *placement.Project, v *placement.VolumeSpec, image string) ([]string, error) {
	const op = "fill volume"
	complete, err := e.markHalf(ctx, v.Name, image)
	if err != nil || complete {
		return nil, e.fail(op, v.Name, err)
	}
	id, err := e.createSeeder(ctx, p, v, image)
	if err != nil {
		return nil, e.fail(op, v.Name, err)
	}
	var skipped []string
	if v.Seed.Path != "" {
		tree := packTree(v.Seed.Path, path.Base(seedDir))
		// From above the volume: the engine leaves the folder that it unpacks in as it is, mode and owner too.
		err := e.api.CopyToContainer(ctx, id, path.Dir(seedDir), tree, container.CopyToContainerOptions{})
		if cause := tree.Close(); cause != nil {
			err = cause // why the stream broke, which the engine only sees break
		}
		if err != nil {
			return nil, e.fail(op, v.Name, fmt.Errorf("send %s: %w", v.Seed.Path, err)) // the container stays as the mark
		}
		skipped = tree.skipped
	}
	return skipped, e.complete(ctx, v.Name, id)
}

// createSeeder makes the container that a volume is filled through, and with it the volume.
func (e *Engine) createSeeder(ctx context.Context, p *placement.Project, v *placement.VolumeSpec, image string) (string, error) {
	kind := seedData
	if v.Seed.Fixed {
		kind = seedFixed
	}
	labels := map[string]string{
		labelProject: p.Name, labelVolume: v.Key, labelVersion: ComposeVersion, labelConfigHash: v.ConfigHash, labelSeed: kind,
	}
	made, err := e.api.ContainerCreate(ctx, seedConfig(v.Name, image),
		&container.HostConfig{NetworkMode: "none", Mounts: []mount.Mount{{
			Type: mount.TypeVolume, Source: v.Name, Target: seedDir, VolumeOptions: &mount.VolumeOptions{NoCopy: true, Labels: labels},
		}}}, nil, nil, v.Name+seederSuffix)
	return made.ID, err
}

func seedConfig(volume, image string) *container.Config {
	return &container.Config{Image: image, Entrypoint: []string{"/never-started"}, NetworkDisabled: true, Labels: map[string]string{labelSeed: volume}}
}

// markHalf marks a volume that is going to be filled, and removes what is there of it if it was not filled to its end.
// It reports whether the volume is there and complete; then it is not marked.
func (e *Engine) markHalf(ctx context.Context, volume, image string) (complete bool, err error) {
	marks, err := e.marks(ctx, volume)
	if err != nil {
		return false, err
	}
	if len(marks) == 0 {
		if _, err := e.api.VolumeInspect(ctx, volume); !IsNotFound(err) {
			return err == nil, err
		}
	}
	name := volume + markSuffix
	if _, err := e.api.ContainerCreate(ctx, seedConfig(volume, image), &container.HostConfig{NetworkMode: "none"}, nil, nil, name); err != nil && !IsConflict(err) {
		return false, err
	}
	for _, m := range marks {
		if m.Names[0] == "/"+name {
			continue
		}
		if err := e.Remove(ctx, m.ID, true); err != nil {
			return false, err
		}
	}
	if len(marks) > 0 {
		if err := e.api.VolumeRemove(ctx, volume, false); err != nil && !IsNotFound(err) {
			return false, err
		}
	}
	return false, nil
}

// marks are the containers that say that a volume is not complete.
func (e *Engine) marks(ctx context.Context, volume string) ([]container.Summary, error) {
	return e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelSeed+"="+volume))})
}

// complete ends a seeding: the container that it went through goes, and then the mark.
func (e *Engine) complete(ctx context.Context, volume, seeder string) error {
	if err := e.Remove(ctx, seeder, true); err != nil {
		return err
	}
	return e.Remove(ctx, volume+markSuffix, true)
}

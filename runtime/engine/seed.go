package engine

import (
	"context"
	"errors"
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

// seedDir is where the container that fills a volume has it; no image has such a folder.
const seedDir = "/.berth-seed"

// SeedVolume makes a volume of the project and fills it with the folder that it stands for; owners, modes, links and
// empty folders are kept. It returns one sentence for each thing that cannot be sent (sockets, devices, pipes). A volume
// that is there and complete stays as it is.
//
// It goes through a container of image (an ID or reference that the host has) that is never started. While a container
// with the label berth.seed=<volume> is there, the volume is not complete: it is made before the volume and goes last, so
// that a seeding that was cut short is seen, and done anew from an empty volume.
func (e *Engine) SeedVolume(ctx context.Context, p *placement.Project, v *placement.VolumeSpec, image string) ([]string, error) {
	const op = "fill volume"
	complete, err := e.discardHalf(ctx, v.Name, image)
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
	return skipped, e.removeMarks(ctx, v.Name)
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
		}}}, nil, nil, v.Name+".seed")
	return made.ID, err
}

func seedConfig(volume, image string) *container.Config {
	return &container.Config{Image: image, Entrypoint: []string{"/never-started"}, NetworkDisabled: true, Labels: map[string]string{labelSeed: volume}}
}

// discardHalf removes a volume that was not filled to its end, under a mark of its own, since that volume cannot go as
// long as the container goes on that marks it. It reports whether the volume is there and complete.
func (e *Engine) discardHalf(ctx context.Context, volume, image string) (complete bool, err error) {
	marks, err := e.marks(ctx, volume)
	if err != nil {
		return false, err
	}
	if len(marks) == 0 {
		_, err := e.api.VolumeInspect(ctx, volume)
		if IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	}
	name := volume + ".emptied"
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
	if err := e.api.VolumeRemove(ctx, volume, false); err != nil && !IsNotFound(err) {
		return false, err
	}
	return false, nil
}

// marks are the containers that say that a volume is not complete.
func (e *Engine) marks(ctx context.Context, volume string) ([]container.Summary, error) {
	return e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelSeed+"="+volume))})
}

func (e *Engine) removeMarks(ctx context.Context, volume string) error {
	marks, err := e.marks(ctx, volume)
	for _, m := range marks {
		err = errors.Join(err, e.Remove(ctx, m.ID, true))
	}
	return err
}

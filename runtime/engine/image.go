package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"berth/placement"
)

// hubAccount is the key that docker's configuration keeps Docker Hub's credentials under.
const hubAccount = "https://index.docker.io/v1/"

// ImageID gives the ID of an image reference on the host, "" when it is not there.
func (e *Engine) ImageID(ctx context.Context, ref string) (string, error) {
	info, err := e.api.ImageInspect(ctx, ref)
	if IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", e.fail("look up image", ref, err)
	}
	e.checked.note(info)
	return info.ID, nil
}

// ImageInfo describes an image on the host.
type ImageInfo struct {
	ID       string    // "sha256:…"
	Tags     []string  // references that name it, as the engine writes them
	Platform string    // os/arch[/variant]
	Size     int64     // bytes, all layers
	Tagged   time.Time // when it last got a name here; where the engine does not know, when it was made
}

// Image describes an image by reference or ID.
func (e *Engine) Image(ctx context.Context, ref string) (ImageInfo, error) {
	info, err := e.api.ImageInspect(ctx, ref)
	if err != nil {
		return ImageInfo{}, e.fail("look up image", ref, err)
	}
	i := ImageInfo{ID: info.ID, Tags: info.RepoTags, Size: info.Size, Tagged: info.Metadata.LastTagTime}
	i.Platform = info.Os + "/" + info.Architecture
	if info.Variant != "" {
		i.Platform += "/" + info.Variant
	}
	if i.Tagged.IsZero() {
		i.Tagged, _ = time.Parse(time.RFC3339Nano, info.Created) // zero where the image says nothing
	}
	return i, nil
}

// imageFacts is what planning needs of an image.
func imageFacts(info image.InspectResponse) placement.Image {
	facts := placement.Image{ID: info.ID, Tagged: info.Metadata.LastTagTime, Digests: info.RepoDigests}
	if made, err := time.Parse(time.RFC3339Nano, info.Created); err == nil && made.After(facts.Tagged) {
		facts.Tagged = made // engines do not note every way in which an image gets its name
	}
	return facts
}

// Pull pulls an image with the credentials of docker's own configuration. platform is os/arch[/variant], "" for the
// engine's own. progress, which may be nil, is told the bytes done and known so far, summed over the layers; both grow.
func (e *Engine) Pull(ctx context.Context, ref, platform string, progress func(done, total int64)) error {
	auth, err := e.credentials(ref)
	if err != nil {
		return e.fail("pull image", ref, err)
	}
	body, err := e.api.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth, Platform: platform})
	if err != nil {
		return e.fail("pull image", ref, err)
	}
	defer body.Close()
	sum := newTransferSum(progress)
	return e.fail("pull image", ref, follow(body, func(m message) {
		switch m.Status {
		case "Downloading":
			sum.part(m.ID, m.Progress.Current, m.Progress.Total)
		case "Download complete", "Pull complete":
			sum.whole(m.ID)
		}
	}))
}

// RegistryDigest is the digest that the image's registry has for it now, as the host sees it and with the credentials of
// docker's own configuration.
func (e *Engine) RegistryDigest(ctx context.Context, ref string) (string, error) {
	auth, err := e.credentials(ref)
	if err != nil {
		return "", e.fail("look up the digest of image", ref, err)
	}
	info, err := e.api.DistributionInspect(ctx, ref, auth)
	if err != nil {
		return "", e.fail("look up the digest of image", ref, err)
	}
	return info.Descriptor.Digest.String(), nil
}

// PruneImages removes the images that were built for a project and have no name any more, unless a container uses them.
func (e *Engine) PruneImages(ctx context.Context, project string) error {
	_, err := e.api.ImagesPrune(ctx, filters.NewArgs(filters.Arg("dangling", "true"), filters.Arg("label", labelProject+"="+project)))
	return e.fail("remove unused images of project", project, err)
}

type layer struct{ done, total int64 }

// credentials encodes what docker's configuration knows for the image's registry, "" for nothing.
func (e *Engine) credentials(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", fmt.Errorf("%q is not an image reference: %w", ref, err)
	}
	file, err := e.config()
	if err != nil {
		return "", err
	}
	account := reference.Domain(named)
	if account == "docker.io" {
		account = hubAccount
	}
	a, err := file.GetAuthConfig(account)
	if err != nil {
		return "", fmt.Errorf("credentials for %s: %w; log in with \"docker login\"", account, err)
	}
	if a.Username == "" && a.Password == "" && a.Auth == "" && a.IdentityToken == "" && a.RegistryToken == "" {
		return "", nil
	}
	return registry.EncodeAuthConfig(registry.AuthConfig{
		Username: a.Username, Password: a.Password, Auth: a.Auth, ServerAddress: a.ServerAddress,
		IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken,
	})
}

// ImportImage makes an image of one layer from a tar of a root file system, with Dockerfile instructions on top (CMD,
// ENTRYPOINT, ENV, LABEL …), and gives its ID.
func (e *Engine) ImportImage(ctx context.Context, rootTar io.Reader, ref string, changes []string) (string, error) {
	body, err := e.api.ImageImport(ctx, image.ImportSource{Source: rootTar, SourceName: "-"}, ref, image.ImportOptions{Changes: changes})
	if err != nil {
		return "", e.fail("import image", ref, err)
	}
	defer body.Close()
	id := ""
	err = follow(body, func(m message) {
		if strings.HasPrefix(m.Status, "sha256:") {
			id = m.Status
		}
	})
	if err == nil && id == "" {
		err = errors.New("the engine reported no image ID")
	}
	return id, e.fail("import image", ref, err)
}

// SaveImage streams images with their layers and names as a tar that LoadImage takes. The caller closes it.
func (e *Engine) SaveImage(ctx context.Context, refs ...string) (io.ReadCloser, error) {
	body, err := e.api.ImageSave(ctx, refs)
	if err != nil {
		return nil, e.fail("save image", strings.Join(refs, ", "), err)
	}
	return body, nil
}

// LoadImage reads images from a tar of SaveImage's.
func (e *Engine) LoadImage(ctx context.Context, tar io.Reader) error {
	res, err := e.api.ImageLoad(ctx, tar)
	if err != nil {
		return e.fail("load image", "", err)
	}
	defer res.Body.Close()
	if !res.JSON {
		_, err = io.Copy(io.Discard, res.Body)
		return e.fail("load image", "", err)
	}
	return e.fail("load image", "", follow(res.Body, func(message) {}))
}

// TagImage gives an image another name.
func (e *Engine) TagImage(ctx context.Context, source, target string) error {
	return e.fail("tag image", source, e.api.ImageTag(ctx, source, target))
}

// RemoveImage removes an image's name, and the image with its last one. One that is not there is success.
func (e *Engine) RemoveImage(ctx context.Context, ref string) error {
	_, err := e.api.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
	if IsNotFound(err) {
		return nil
	}
	return e.fail("remove image", ref, err)
}

// message is one line of the progress that pull, import and load answer with.
type message struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Progress struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
	Error string          `json:"error"`
	Aux   json.RawMessage `json:"aux"`
}

// follow reads progress messages to their end; an error among them is the call's error.
func follow(r io.Reader, each func(message)) error {
	dec := json.NewDecoder(r)
	for {
		var m message
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
		each(m)
	}
}

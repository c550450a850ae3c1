package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"golang.org/x/sync/errgroup"
)

// ImageContent is what an image is made of.
type ImageContent struct {
	ID     string
	Layers []string // diff IDs, the bottom first
	Size   int64    // bytes of all layers, unpacked
	// Sizes are the layers' sizes in bytes; nil where the engine does not tell them one by one.
	Sizes []int64
}

// ImageContent describes an image of the host; ok is false when it is not there.
func (e *Engine) ImageContent(ctx context.Context, ref string) (c ImageContent, ok bool, err error) {
	info, err := e.api.ImageInspect(ctx, ref)
	if IsNotFound(err) {
		return c, false, nil
	}
	if err != nil {
		return c, false, e.fail("look up image", ref, err)
	}
	c = ImageContent{ID: info.ID, Layers: info.RootFS.Layers, Size: info.Size}
	history, err := e.api.ImageHistory(ctx, ref)
	if err != nil {
		return c, true, e.fail("look up image", ref, err)
	}
	var sizes []int64
	for _, h := range slices.Backward(history) {
		if h.Size > 0 { // steps that changed no file have no layer
			sizes = append(sizes, h.Size)
		}
	}
	if len(sizes) == len(c.Layers) {
		c.Sizes = sizes
	}
	return c, true, nil
}

// LayerChains are the stacks of layers that the host has: for each image the key of each of its layers with all below
// it, see [ChainKeys]. Engines tell no other way which layers they have.
func (e *Engine) LayerChains(ctx context.Context) (map[string]bool, error) {
	list, err := e.api.ImageList(ctx, image.ListOptions{All: true})
	if err != nil {
		return nil, e.fail("list images", "", err)
	}
	chains := map[string]bool{}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookups)
	for _, i := range list {
		g.Go(func() error {
			info, err := e.api.ImageInspect(ctx, i.ID)
			if IsNotFound(err) { // removed meanwhile
				return nil
			}
			if err != nil {
				return e.fail("look up image", i.ID, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, k := range ChainKeys(info.RootFS.Layers) {
				chains[k] = true
			}
			return nil
		})
	}
	return chains, g.Wait()
}

// ChainKeys gives for each layer of an image a key that stands for it and all layers below it.
func ChainKeys(layers []string) []string {
	keys := make([]string, len(layers))
	for i := range layers {
		keys[i] = strings.Join(layers[:i+1], " ")
	}
	return keys
}

// Snapshotted reports whether the engine keeps its images in containerd's store: it then wants every layer of an image
// that it loads, and IDs of its images are not those of other engines.
func (e *Engine) Snapshotted(ctx context.Context) (bool, error) {
	info, err := e.api.Info(ctx)
	if err != nil {
		return false, e.fail("ask for its image store", "", err)
	}
	return slices.ContainsFunc(info.DriverStatus, func(s [2]string) bool {
		return s[0] == "driver-type" && strings.HasPrefix(s[1], "io.containerd.snapshotter.")
	}), nil
}

// Resolve asks the registry, with the credentials of docker's own configuration, what a name means now:
// "repository@sha256:…".
func (e *Engine) Resolve(ctx context.Context, ref string) (string, error) {
	auth, err := e.credentials(ref)
	if err != nil {
		return "", e.fail("look up image", ref, err)
	}
	found, err := e.api.DistributionInspect(ctx, ref, auth)
	if err != nil {
		return "", e.fail("pull image", ref, err)
	}
	return withDigest(ref, found.Descriptor.Digest.String())
}

func withDigest(ref, digest string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", fmt.Errorf("%q is not an image reference: %w", ref, err)
	}
	return reference.FamiliarName(named) + "@" + digest, nil
}

// Push pushes an image to the registry of its name, with the credentials of docker's own configuration, and gives what
// that calls it: "repository@sha256:…". progress, which may be nil, is told the bytes done and known so far.
func (e *Engine) Push(ctx context.Context, ref string, progress func(done, total int64)) (string, error) {
	auth, err := e.credentials(ref)
	if err != nil {
		return "", e.fail("push image", ref, err)
	}
	if auth == "" {
		auth = "e30=" // {}: engines want something
	}
	body, err := e.api.ImagePush(ctx, ref, image.PushOptions{RegistryAuth: auth})
	if err != nil {
		return "", e.fail("push image", ref, err)
	}
	defer body.Close()
	digest := ""
	sum := newTransferSum(progress)
	err = follow(body, func(m message) {
		var aux struct{ Digest string }
		if m.Aux != nil && json.Unmarshal(m.Aux, &aux) == nil && aux.Digest != "" {
			digest = aux.Digest
		}
		switch m.Status {
		case "Pushing":
			sum.part(m.ID, m.Progress.Current, m.Progress.Total)
		case "Pushed":
			sum.whole(m.ID)
		}
	})
	if err == nil && digest == "" {
		err = errors.New("the registry told no digest")
	}
	if err != nil {
		return "", e.fail("push image", ref, err)
	}
	return withDigest(ref, digest)
}

// transferSum adds up the progress of layers.
type transferSum struct {
	tell   func(done, total int64)
	layers map[string]layer
}

func newTransferSum(tell func(done, total int64)) *transferSum {
	return &transferSum{tell: tell, layers: map[string]layer{}}
}

func (s *transferSum) part(id string, done, total int64) {
	if total > 0 {
		s.layers[id] = layer{min(done, total), total}
		s.show()
	}
}

func (s *transferSum) whole(id string) {
	if l, ok := s.layers[id]; ok {
		s.layers[id] = layer{l.total, l.total}
		s.show()
	}
}

func (s *transferSum) show() {
	if s.tell == nil {
		return
	}
	var sum layer
	for _, l := range s.layers {
		sum.done, sum.total = sum.done+l.done, sum.total+l.total
	}
	s.tell(sum.done, sum.total)
}

// errSilent is why a guarded context ends.
var errSilent = errors.New("it does not answer any more; is the host up and its engine running?")

// Guard gives a context that ends when the engine has not answered two questions in a row: a stream to a host that was
// cut off would stay open in silence. The caller calls stop, which waits for the goroutine that asks.
func (e *Engine) Guard(ctx context.Context) (guarded context.Context, stop func()) {
	guarded, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		beat := time.NewTicker(heartbeat)
		defer beat.Stop()
		missed := 0
		for {
			select {
			case <-guarded.Done():
				return
			case <-beat.C:
			}
			once, end := context.WithTimeout(guarded, heartbeat)
			_, err := e.greet(once)
			end()
			if missed++; err == nil {
				missed = 0
			}
			if missed == 2 {
				cancel(e.fail("carry an image", "", errSilent))
			}
		}
	}()
	return guarded, func() {
		cancel(nil)
		<-done
	}
}

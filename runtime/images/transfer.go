package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"berth/runtime/engine"
)

// Target is an engine that an image goes to.
type Target struct {
	Engine   *engine.Engine
	Progress func(done, total int64) // bytes sent there; may be nil
}

// Send brings the image that one engine has under a name to others, under the same name. The image is read once, and
// each target gets only the layers that it lacks: one that has the image gets nothing but its name. A target's failure
// is its own; the result has an entry for each, by host name. What broke leaves nothing on its host.
func Send(ctx context.Context, from *engine.Engine, targets []Target, ref string) map[string]error {
	result := map[string]error{}
	fail := func(err error) map[string]error {
		for _, t := range targets {
			if _, known := result[t.Engine.Host()]; !known {
				result[t.Engine.Host()] = fmt.Errorf("send image %s from host %s to host %s: %w", ref, from.Host(), t.Engine.Host(), err)
			}
		}
		return result
	}
	source, stop := from.Guard(ctx)
	defer stop()
	content, ok, err := from.ImageContent(source, ref)
	if err == nil && !ok {
		err = fmt.Errorf("it is not on host %s any more; run the same command again", from.Host())
	}
	var snapshotted bool
	if err == nil {
		snapshotted, err = from.Snapshotted(source)
	}
	if err != nil {
		return fail(err)
	}
	s := &sender{ref: ref, content: content, portable: !snapshotted}
	var mu sync.Mutex
	var wanting errgroup.Group
	for _, t := range targets {
		wanting.Go(func() error {
			f, err := s.prepare(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				result[t.Engine.Host()] = fmt.Errorf("send image %s from host %s: %w", ref, from.Host(), err)
			case f == nil:
				result[t.Engine.Host()] = nil
			default:
				s.feeds = append(s.feeds, f)
			}
			return nil
		})
	}
	_ = wanting.Wait() // its functions give no error
	if len(s.feeds) == 0 {
		return result
	}
	err = s.stream(source, from)
	for _, f := range s.feeds {
		if failed := f.end(ctx, s, err); failed != nil {
			failed = fmt.Errorf("send image %s from host %s to host %s: %w", ref, from.Host(), f.engine.Host(), failed)
			result[f.engine.Host()] = failed
		} else {
			result[f.engine.Host()] = nil
		}
	}
	return result
}

// sender is one reading of an image.
type sender struct {
	ref      string
	content  engine.ImageContent
	portable bool // the image has the same ID on other engines
	feeds    []*feed
}

// prepare finds out what a target lacks; nil when it has the image, which then has its name there.
func (s *sender) prepare(ctx context.Context, t Target) (*feed, error) {
	e := t.Engine
	guarded, stop := e.Guard(ctx)
	defer stop()
	if s.portable {
		_, there, err := e.ImageContent(guarded, s.content.ID)
		if err != nil {
			return nil, cause(guarded, err)
		}
		if there {
			return nil, e.TagImage(guarded, s.content.ID, s.ref)
		}
	}
	snapshotted, err := e.Snapshotted(guarded)
	if err != nil {
		return nil, cause(guarded, err)
	}
	have := map[string]bool{}
	if !snapshotted {
		if have, err = e.LayerChains(guarded); err != nil {
			return nil, cause(guarded, err)
		}
	}
	f := &feed{engine: e, tell: t.Progress, lacks: map[string]bool{}}
	for i, key := range engine.ChainKeys(s.content.Layers) {
		if have[key] {
			continue
		}
		f.lacks[s.content.Layers[i]] = true
		if s.content.Sizes != nil {
			f.total += s.content.Sizes[i]
		}
	}
	if s.content.Sizes == nil {
		f.total = s.content.Size
	}
	f.start(ctx)
	return f, nil
}

// cause is why a guarded call failed: that the engine fell silent, where it did.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

// stream reads the image and hands its parts to the feeds that want them. It ends early, without an error of its own,
// when no feed is left.
func (s *sender) stream(ctx context.Context, from *engine.Engine) error {
	body, err := from.SaveImage(ctx, s.content.ID)
	if err != nil {
		return cause(ctx, err)
	}
	defer body.Close()
	a := &archive{layers: map[string]bool{}, small: map[string][]byte{}}
	for _, l := range s.content.Layers {
		a.layers[l] = true
	}
	err = a.read(body, s.layer)
	switch {
	case errors.Is(err, errNobody):
		return nil
	case err != nil:
		return fmt.Errorf("read it on host %s: %w", from.Host(), cause(ctx, err))
	}
	config, err := a.config()
	if err != nil {
		return fmt.Errorf("read it on host %s: %w", from.Host(), err)
	}
	if s.portable && digestOf(config) != s.content.ID {
		return fmt.Errorf("host %s saved another image than %s", from.Host(), s.content.ID)
	}
	for _, f := range s.feeds {
		f.finish(s.ref, config, s.content.Layers)
	}
	return nil
}

// errNobody ends the reading of an image that no target takes any more.
var errNobody = errors.New("no target is left")

// layer hands one layer to those that lack it.
func (s *sender) layer(diffID string, size int64, content io.Reader) error {
	var to []*feed
	alive := false
	for _, f := range s.feeds {
		if f.failed() {
			continue
		}
		alive = true
		if f.lacks[diffID] {
			to = append(to, f)
		}
	}
	if !alive {
		return errNobody
	}
	if len(to) == 0 {
		return nil
	}
	for _, f := range to {
		f.begin(diffID, size)
	}
	for {
		chunk := make([]byte, chunkSize)
		n, err := io.ReadFull(content, chunk)
		if n > 0 {
			for _, f := range to {
				f.write(chunk[:n])
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

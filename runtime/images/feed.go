package images

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/distribution/reference"

	"berth/runtime/engine"
)

// chunkSize is how much of a layer goes to the targets at a time, in bytes; queued of them may wait for a slow one.
const (
	chunkSize = 128 << 10
	queued    = 32
)

// feed is one target's archive: the layers it lacks, and last what makes an image of them.
type feed struct {
	engine *engine.Engine
	tell   func(done, total int64)
	lacks  map[string]bool // diff IDs
	total  int64
	sent   int64
	told   int64 // of sent, the last time

	queue chan []byte
	pipe  *io.PipeWriter
	tar   *tar.Writer // into queue
	broke atomic.Bool // the target takes no more
	work  sync.WaitGroup
	err   error // of the load, once work is done
}

// start opens the target's load.
func (f *feed) start(ctx context.Context) {
	var r *io.PipeReader
	r, f.pipe = io.Pipe()
	f.queue = make(chan []byte, queued)
	f.tar = tar.NewWriter(queueWriter{f})
	f.work.Go(func() {
		guarded, stop := f.engine.Guard(ctx)
		defer stop()
		err := f.engine.LoadImage(guarded, r)
		if err != nil {
			err = cause(guarded, err)
		}
		f.err = err
		f.broke.Store(true)
		r.CloseWithError(errNobody)
	})
	f.work.Go(func() {
		for chunk := range f.queue {
			if _, err := f.pipe.Write(chunk); err != nil {
				f.broke.Store(true) // why, the load knows; what is left of the queue is dropped
			}
		}
		f.pipe.Close() // after an abort it stays as it was
	})
}

// failed reports whether the target takes no more.
func (f *feed) failed() bool { return f.broke.Load() }

// queueWriter lets the archive's writer write into the queue; what a broken target would get is dropped.
type queueWriter struct{ f *feed }

func (q queueWriter) Write(p []byte) (int, error) {
	if !q.f.failed() {
		q.f.queue <- bytes.Clone(p)
	}
	return len(p), nil
}

// layerPath is where a layer stands in the archive.
func layerPath(diffID string) string { return strings.TrimPrefix(diffID, "sha256:") + "/layer.tar" }

// begin announces a layer of size bytes. The archive's writer fails only where it is used wrongly, which finish tells.
func (f *feed) begin(diffID string, size int64) {
	delete(f.lacks, diffID)
	f.file(layerPath(diffID), size)
}

func (f *feed) file(name string, size int64) {
	if err := f.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size}); err != nil {
		f.abort(err)
	}
}

// write adds to what was begun last.
func (f *feed) write(p []byte) {
	if _, err := f.tar.Write(p); err != nil {
		f.abort(err)
		return
	}
	f.sent += int64(len(p))
	if f.tell != nil && !f.failed() && (f.sent-f.told >= max(f.total/100, chunkSize) || f.sent == f.total) {
		f.told = f.sent
		f.tell(f.sent, max(f.total, f.sent))
	}
}

func (f *feed) abort(err error) {
	f.broke.Store(true)
	f.pipe.CloseWithError(err)
}

// finish writes the image's configuration and the index that names it, without which nothing is loaded.
func (f *feed) finish(ref string, config []byte, layers []string) {
	if f.failed() {
		return
	}
	if len(f.lacks) > 0 {
		f.abort(errors.New("layers of the image were not in what its host saved"))
		return
	}
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		f.abort(err)
		return
	}
	ref = reference.FamiliarString(reference.TagNameOnly(named))
	e := entry{Config: strings.TrimPrefix(digestOf(config), "sha256:") + ".json", RepoTags: []string{ref}}
	for _, l := range layers {
		e.Layers = append(e.Layers, layerPath(l))
	}
	index, err := json.Marshal([]entry{e})
	if err != nil {
		f.abort(err)
		return
	}
	for _, file := range []struct {
		name string
		text []byte
	}{{e.Config, config}, {"manifest.json", index}} {
		f.file(file.name, int64(len(file.text)))
		f.write(file.text)
	}
	if err := f.tar.Close(); err != nil {
		f.abort(err)
	}
}

// end closes the target's load, with the source's failure if there was one, waits for what the engine says, and looks
// whether it has the image.
func (f *feed) end(ctx context.Context, s *sender, source error) error {
	if source != nil {
		f.abort(source)
	}
	close(f.queue)
	f.work.Wait()
	switch {
	case source != nil:
		return source
	case f.err != nil:
		return f.err
	}
	id, err := f.engine.ImageID(ctx, s.ref)
	switch {
	case err != nil:
		return err
	case id == "" || s.portable && id != s.content.ID:
		return fmt.Errorf("host %s loaded it but has %q under that name, not %s", f.engine.Host(), id, s.content.ID)
	}
	return f.engine.TagImage(ctx, id, s.ref) // engines note the time of a name given so, not of one loaded
}

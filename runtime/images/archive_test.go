package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// file is one of a saved image's.
type file struct{ name, text string }

func saved(t *testing.T, files ...file) io.Reader {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, f := range files {
		if err := tw.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.text)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func packed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLayersAreFoundInWhateverAnEngineSaves(t *testing.T) {
	bottom, top, config := "the bottom layer", "the top layer", `{"rootfs":{}}`
	hex := func(s string) string { return strings.TrimPrefix(digestOf([]byte(s)), "sha256:") }
	for name, files := range map[string][]file{
		"folders a layer (engines up to 24)": {
			{"1f/VERSION", "1.0"}, {"1f/json", "{}"}, {"1f/layer.tar", top}, {"2e/json", "{}"}, {"2e/layer.tar", bottom},
			{hex(config) + ".json", config}, {"manifest.json", `[{"Config":"` + hex(config) + `.json"}]`}, {"repositories", "{}"}},
		"an OCI layout (engines from 25 on)": {
			{"blobs/sha256/" + hex(bottom), bottom}, {"blobs/sha256/" + hex(config), config}, {"blobs/sha256/" + hex(top), top},
			{"index.json", "{}"}, {"manifest.json", `[{"Config":"blobs/sha256/` + hex(config) + `"}]`}, {"oci-layout", "{}"}},
		"layers packed (containerd's store)": {
			{"blobs/sha256/aa", packed(t, bottom)}, {"blobs/sha256/bb", packed(t, top)}, {"blobs/sha256/" + hex(config), config},
			{"manifest.json", `[{"Config":"blobs/sha256/` + hex(config) + `"}]`}},
	} {
		t.Run(name, func(t *testing.T) {
			a := &archive{layers: map[string]bool{digestOf([]byte(bottom)): true, digestOf([]byte(top)): true}, small: map[string][]byte{}}
			got := map[string]string{}
			err := a.read(saved(t, files...), func(diffID string, size int64, content io.Reader) error {
				text, err := io.ReadAll(content)
				if int64(len(text)) != size {
					t.Errorf("%d bytes of %d", len(text), size)
				}
				got[diffID] = string(text)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]string{digestOf([]byte(bottom)): bottom, digestOf([]byte(top)): top}, got); diff != "" {
				t.Error(diff)
			}
			if c, err := a.config(); string(c) != config || err != nil {
				t.Errorf("configuration %s, error %v", c, err)
			}
		})
	}
}

func TestACutArchiveIsAnError(t *testing.T) {
	whole, err := io.ReadAll(saved(t, file{"1/layer.tar", strings.Repeat("x", 4096)}))
	if err != nil {
		t.Fatal(err)
	}
	a := &archive{small: map[string][]byte{}}
	err = a.read(bytes.NewReader(whole[:2000]), func(string, int64, io.Reader) error { return nil })
	if err == nil {
		t.Error("half an archive was read without an error")
	}
}

package images

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// archive is what an engine saves of one image. Engines up to 24 write a folder a layer, named by nothing that is known
// beforehand, with what tells them apart at the end; from 25 on files are named by their digests (an OCI layout).
type archive struct {
	layers map[string]bool   // diff IDs of the image
	small  map[string][]byte // files that may describe the image, by path
}

// smallFile bounds what is kept in memory: configurations and manifests are far smaller.
const smallFile = 8 << 20

// read goes through the archive and hands each layer of the image to take. What cannot be told from its name is put
// aside on disk, one layer at a time.
func (a *archive) read(r io.Reader, take func(diffID string, size int64, content io.Reader) error) error {
	tr := tar.NewReader(bufio.NewReaderSize(r, chunkSize))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue // folders, and links to a layer that is there twice
		}
		name := path.Clean(h.Name)
		digest := "sha256:" + path.Base(name)
		switch {
		case path.Dir(name) == "blobs/sha256" && a.layers[digest]:
			if err := take(digest, h.Size, tr); err != nil {
				return err
			}
			continue
		case path.Base(name) == "layer.tar":
			if err := a.aside(tr, take); err != nil {
				return err
			}
			continue
		}
		content := bufio.NewReader(tr)
		if first, _ := content.Peek(1); h.Size <= smallFile && (len(first) == 0 || first[0] == '{' || first[0] == '[') {
			if a.small[name], err = io.ReadAll(content); err != nil {
				return err
			}
		} else if strings.HasPrefix(name, "blobs/") {
			if err := a.aside(content, take); err != nil {
				return err
			}
		}
	}
}

// aside puts a layer on disk, unpacked, learns its digest, and hands it on.
func (a *archive) aside(r io.Reader, take func(string, int64, io.Reader) error) error {
	content := bufio.NewReader(r)
	if magic, _ := content.Peek(4); bytes.HasPrefix(magic, []byte{0x1f, 0x8b}) {
		unpacked, err := gzip.NewReader(content)
		if err != nil {
			return err
		}
		defer unpacked.Close()
		content = bufio.NewReader(unpacked)
	} else if bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		return errors.New("its layers are packed with zstd, which cannot be carried to other engines; set registry: in hosts.yml")
	}
	f, err := os.CreateTemp("", "berth-layer-*")
	if err != nil {
		return err
	}
	defer f.Close()
	// Without a name it is gone with this process, whatever ends that.
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, sum), content)
	if err != nil {
		return err
	}
	diffID := "sha256:" + hex.EncodeToString(sum.Sum(nil))
	if !a.layers[diffID] {
		return nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return take(diffID, size, f)
}

// config is the image's configuration, as manifest.json names it.
func (a *archive) config() ([]byte, error) {
	var entries []struct{ Config string }
	if err := json.Unmarshal(a.small["manifest.json"], &entries); err != nil {
		return nil, fmt.Errorf("manifest.json of what it saved: %w", err)
	}
	if len(entries) != 1 {
		return nil, fmt.Errorf("it saved %d images instead of one", len(entries))
	}
	config := a.small[path.Clean(entries[0].Config)]
	if config == nil {
		return nil, errors.New("the image's configuration is not in what it saved")
	}
	return config, nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

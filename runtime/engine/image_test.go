package engine

import (
	"archive/tar"
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnImageIsMadeOfATarAndTravelsToAnotherName(t *testing.T) {
	b := onEngine(t)
	var root bytes.Buffer
	w := tar.NewWriter(&root)
	if err := w.WriteHeader(&tar.Header{Name: "hello", Mode: 0o755, Size: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	const ref = "berth-test/imported:1"
	t.Cleanup(func() { b.RemoveImage(t.Context(), ref) })
	id, err := b.ImportImage(b.ctx, &root, ref, []string{`CMD ["/hello"]`, "LABEL berth.agent=v1"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.ImageID(b.ctx, ref); got != id || err != nil {
		t.Errorf("image %s, %v, want %s", got, err, id)
	}
	saved, err := b.SaveImage(b.ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := file.ReadFrom(saved); err != nil {
		t.Fatal(err)
	}
	saved.Close()
	if err := b.RemoveImage(b.ctx, ref); err != nil {
		t.Fatal(err)
	}
	if got, err := b.ImageID(b.ctx, ref); got != "" || err != nil {
		t.Errorf("removed image is %q, %v", got, err)
	}
	if err := b.LoadImage(b.ctx, &file); err != nil {
		t.Fatal(err)
	}
	if got, err := b.ImageID(b.ctx, ref); got != id || err != nil {
		t.Errorf("loaded image %s, %v, want %s", got, err, id)
	}
	if err := b.RemoveImage(b.ctx, ref); err != nil {
		t.Error(err)
	}
	if err := b.RemoveImage(b.ctx, ref); err != nil {
		t.Errorf("removing what is gone: %v", err)
	}
}

func TestPullReportsBytesAndFailsWithTheRegistrysWords(t *testing.T) {
	answer := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		if strings.HasSuffix(r.URL.Path, "/images/create") {
			if r.Header.Get("X-Registry-Auth") == "" {
				t.Error("no credentials sent")
			}
			if got := r.URL.Query().Get("platform"); got != "linux/arm64" {
				t.Errorf("platform %q", got)
			}
			w.Write([]byte(answer))
		}
	}))
	defer srv.Close()
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"auths":{"registry.lan:5000":{"auth":"dTpw"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := Connect(hostAt(strings.Replace(srv.URL, "http", "tcp", 1)))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	answer = `{"status":"Downloading","id":"a","progressDetail":{"current":10,"total":100}}
{"status":"Downloading","id":"b","progressDetail":{"current":5,"total":50}}
{"status":"Extracting","id":"a","progressDetail":{"current":1,"total":100}}
{"status":"Download complete","id":"a"}
{"status":"Pull complete","id":"b"}
`
	var seen [][2]int64
	if err := e.Pull(t.Context(), "registry.lan:5000/app:v3", "linux/arm64", func(d, all int64) { seen = append(seen, [2]int64{d, all}) }); err != nil {
		t.Fatal(err)
	}
	if want := [][2]int64{{10, 100}, {15, 150}, {105, 150}, {150, 150}}; len(seen) != 4 || seen[1] != want[1] || seen[2] != want[2] || seen[3] != want[3] {
		t.Errorf("progress %v, want %v", seen, want)
	}
	answer = `{"error":"manifest for registry.lan:5000/app:v3 not found: manifest unknown"}`
	if err := e.Pull(t.Context(), "registry.lan:5000/app:v3", "linux/arm64", nil); err == nil || !strings.Contains(err.Error(), "the registry has no image registry.lan:5000/app:v3") {
		t.Errorf("error: %v", err)
	}
}

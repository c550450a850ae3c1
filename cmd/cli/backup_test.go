package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestABackupThatCannotBeWrittenNamesTheFileAskedFor(t *testing.T) {
	name := filepath.Join(t.TempDir(), "gone", "x")
	if err := writeWhole(name, nil); err == nil || !strings.Contains(err.Error(), name+": no such file") {
		t.Errorf("got %v", err)
	}
}

package embedded

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// It depends on the order in which Go initialises packages, see package uncounted.
func TestEtcdRegistersNoMetrics(t *testing.T) {
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "go_") && !strings.HasPrefix(f.GetName(), "process_") {
			t.Errorf("%s is registered", f.GetName())
		}
	}
}

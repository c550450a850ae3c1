package cluster_test

import (
	"os"
	"testing"

	"berth/runtime/store/embedded/embeddedtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(holderEnv) != "" {
		holdLock()
		return
	}
	embeddedtest.VerifyTestMain(m)
}

package embeddedtest

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// leakTries is how often goleak looks, with about a second of patience each time.
const leakTries = 10

// VerifyTestMain is goleak.VerifyTestMain with more patience: a member that stopped in the middle of a request to
// another one may leave that connection to etcd's read timeout, which is 5 s. In the processes that StartApart starts it
// is a member of a store.
func VerifyTestMain(m *testing.M) {
	if config := os.Getenv(memberEnv); config != "" {
		fmt.Fprintln(os.Stderr, runMember(config))
		os.Exit(1)
	}
	code := m.Run()
	if code == 0 {
		err := goleak.Find()
		for try := 1; err != nil && try < leakTries; try++ {
			err = goleak.Find()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

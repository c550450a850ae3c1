package loader

import (
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/transform"
	"github.com/sirupsen/logrus"
)

// compose-go speaks through the process-wide logrus logger and keeps its env_file formats and its defaults in
// process-wide maps. They are touched here only, under composeGo.
var (
	composeGo sync.Mutex
	setUp     sync.Once
)

// withWarnings runs fn while compose-go's log goes to the returned warnings instead of standard error. Loads run one
// at a time. The warnings are sorted (compose-go logs in map order) and without repeats.
func withWarnings(fn func() error) (warnings []string, err error) {
	composeGo.Lock()
	defer composeGo.Unlock()
	setUp.Do(func() {
		dotenv.RegisterFormat("raw", rawEnv)
		// To docker compose v2.40 a `bind:` that does not say create_host_path asks for a folder that is there.
		delete(transform.DefaultValues, "services.*.volumes.*.bind")
	})

	log := logrus.StandardLogger()
	seen := &logHook{}
	out, hooks := log.Out, log.ReplaceHooks(logrus.LevelHooks{})
	log.SetOutput(io.Discard)
	log.AddHook(seen)
	defer func() {
		log.SetOutput(out)
		log.ReplaceHooks(hooks)
	}()
	err = fn()

	seen.Lock()
	defer seen.Unlock()
	slices.Sort(seen.messages)
	return slices.Compact(seen.messages), err
}

// logHook keeps warnings; compose-go logs from several goroutines.
type logHook struct {
	sync.Mutex
	messages []string
}

func (h *logHook) Levels() []logrus.Level {
	return []logrus.Level{logrus.WarnLevel, logrus.ErrorLevel}
}

func (h *logHook) Fire(e *logrus.Entry) error {
	if strings.Contains(e.Message, obsoleteVersion) {
		return nil // once a process only: see versionWarnings
	}
	h.Lock()
	defer h.Unlock()
	h.messages = append(h.messages, e.Message)
	return nil
}

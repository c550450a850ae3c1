package console

import (
	"io"
	"os"
	"os/signal"
	"sync"
)

// watch sends the size of out's terminal now and after each signal of a change. stop ends that and waits for it.
func watch(out io.Writer) (sizes <-chan [2]uint, stop func()) {
	changed := make(chan os.Signal, 1)
	notifyResize(changed)
	latest := make(chan [2]uint, 1)
	quit := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		defer close(latest)
		for {
			if w, h, ok := Size(out); ok {
				select {
				case <-latest: // a size that nobody took is out of date
				default:
				}
				latest <- [2]uint{w, h}
			}
			select {
			case <-changed:
			case <-quit:
				return
			}
		}
	})
	return latest, func() {
		signal.Stop(changed)
		close(quit)
		watcher.Wait()
	}
}

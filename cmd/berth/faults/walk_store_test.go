package faults_test

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"time"

	"berth/fixtures/lab/lab"
	"berth/runtime/cluster"
)

var losses = flag.Int("losses", 10, "how many of 100 random steps of the walk are about what the store has: backup, restore, lost data")

// memberData is where, in a shell on a host, an agent keeps the data of its member of the embedded store.
const memberData = `"$(docker volume inspect -f '{{.Mountpoint}}' ` + cluster.AgentName + `)"/etcd*`

// storeStep backs the store up, brings back what it was at an earlier step, or takes its data away.
func (w *walker) storeStep() (name, what string) {
	p := w.projects[0] // any user's command would do
	n := w.random.IntN(20)
	if w.lost && n >= 14 && n < 17 {
		n = 0 // two of three lost before the first is replaced are more than anything can mend
	}
	switch {
	case n < 7 || len(w.backups) == 0:
		file := filepath.Join(p.dir, fmt.Sprintf("%d.backup", len(w.backups)))
		_, err := p.berth("store", "backup", file)
		if err == nil {
			w.backups = append(w.backups, file)
		}
		return "store backed up", filepath.Base(file) + w.says(err)
	case n < 12:
		file := w.backups[w.random.IntN(len(w.backups))]
		w.doubt()
		_, err := p.berth("store", "restore", "--yes", file)
		return "store restored", filepath.Base(file) + w.says(err)
	case n < 14:
		file := w.backups[w.random.IntN(len(w.backups))]
		w.doubt()
		after := time.Duration(w.random.IntN(400)) * time.Millisecond
		ctx, cancel := context.WithTimeout(context.Background(), after) // its end kills the command
		defer cancel()
		_ = p.command(ctx, "store", "restore", "--yes", file).Run()
		return "store restored, killed", fmt.Sprintf("%s after %s", filepath.Base(file), after)
	case n < 17:
		w.lost = true
		h := w.lab.Hosts()[w.random.IntN(3)]
		w.doubt() // the next command of any project puts a new member in its place
		for _, command := range []string{"docker stop -t 0 " + cluster.AgentName, "rm -rf " + memberData, "docker start " + cluster.AgentName} {
			run(w.t, h, "sh", "-c", command)
		}
		return "member's data lost", h.Name()
	default:
		w.doubt()
		w.lost = false
		w.emptyStore()
		return "store's data lost", "on all hosts"
	}
}

// doubt has every project's command run again when all is quiet: the store may not know what it did.
func (w *walker) doubt() {
	for _, p := range w.projects {
		p.torn = true
	}
}

// replace has commands put a new member in the place of the one that lost its data, until all members serve. The first of
// them may come before that agent has said what it lacks.
func (w *walker) replace() {
	w.t.Helper()
	p := w.projects[0]
	var err error
	var said string
	if !lab.Happens(func() bool {
		if p.up {
			p.must("up", "-d", "--remove-orphans")
		} else {
			p.must("up", "-d", "--no-start")
			p.must("down", "-t", "0")
		}
		_, err = p.berth("store", "status")
		said, _ = p.berth("store", "dump")
		return err == nil
	}) {
		w.t.Fatalf("not all members of the store serve: %v\n%s", err, said)
	}
	w.lost = false
}

// emptyStore takes the data of all members away while none of them runs.
func (w *walker) emptyStore() {
	w.t.Helper()
	for _, command := range []string{"docker stop -t 0 " + cluster.AgentName, "rm -rf " + memberData, "docker start " + cluster.AgentName} {
		for _, h := range w.lab.Hosts() {
			run(w.t, h, "sh", "-c", command)
		}
	}
}

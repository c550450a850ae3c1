package faults_test

import (
	"strings"
	"testing"
	"time"

	"berth/fixtures/lab/lab"
	"berth/runtime/cluster"
)

// onDisks fills what the store's members write to.
func (w *world) onDisks() {
	if !*slow {
		return
	}
	two := w.lab.Hosts()[1]
	w.members("mv $d $d.was; mkdir -m 700 $d; mount -t tmpfs -o size=300m,mode=700 tmpfs $d; cp -a $d.was/. $d; rm -r $d.was")
	w.fault("a store member's disk full, until there is room", func(t *testing.T) time.Time {
		w.fill(two)
		w.says(t, "disk is full", "store", "status")
		return w.makeRoom(t, two)
	})
	w.fault("all store members' disks full, until there is room", func(t *testing.T) time.Time {
		for _, h := range w.lab.Hosts() {
			w.fill(h)
		}
		w.says(t, "disk is full", "up", "-d")
		return w.makeRoom(t, w.lab.Hosts()...)
	})
	w.members("cp -a $d $d.was; umount $d; rmdir $d; mv $d.was $d")
}

// members changes the folder $d of each member's data while it does not run, one after the other.
func (w *world) members(change string) {
	w.t.Helper()
	for _, h := range w.lab.Hosts() {
		began := time.Now()
		run(w.t, h, "sh", "-ec", "docker stop -t 0 "+cluster.AgentName+"; for d in "+memberData+"; do "+change+"; done; docker start "+cluster.AgentName)
		w.repaired(began, nil)
		w.serves(w.t)
	}
}

// fill leaves no room beside a member's data.
func (w *world) fill(h *lab.Host) {
	w.t.Helper()
	run(w.t, h, "sh", "-c", "for d in "+memberData+"; do dd if=/dev/zero of=$d/filler bs=4k; done; true")
}

// says waits until a command's error has a word.
func (w *world) says(t *testing.T, word string, command ...string) {
	t.Helper()
	var said error
	if !lab.Happens(func() bool {
		_, said = w.berth(command...)
		return said != nil && strings.Contains(said.Error(), word)
	}) {
		t.Errorf("berth %s does not say %q: %v", strings.Join(command, " "), word, said)
	}
}

// makeRoom checks that names and traffic go on, makes room again, waits until all members serve without any command, and
// returns when there was room.
func (w *world) makeRoom(t *testing.T, hosts ...*lab.Host) time.Time {
	t.Helper()
	full := time.Now()
	w.flows(full, nil)
	w.repaired(full, nil)
	for _, h := range hosts {
		run(t, h, "sh", "-ec", "rm "+memberData+"/filler")
	}
	freed := time.Now()
	w.serves(t)
	return freed
}

// serves waits until all members of the store do, without any command that changes something.
func (w *world) serves(t *testing.T) {
	t.Helper()
	var said error
	if !lab.Happens(func() bool {
		_, said = w.berth("store", "status")
		return said == nil
	}) {
		t.Fatalf("the store's members do not serve: %v", said)
	}
}

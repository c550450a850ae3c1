package placement

// Board is the hosts with what they hold while placement decisions are made one after the other. Hosts are indexes
// into the slice that NewBoard got, services are indexes handed out by Service: there is no map in the inner loop.
// A Board is not safe for concurrent use.
type Board struct {
	hosts     []Host
	slots     []slot
	names     map[string]int // service name → index
	services  []tally
	queue     *queue // hosts that take tasks, by load
	lost      set    // hosts that Lose took out
	losses    int    // times that Lose did
	taking    set    // hosts that take tasks
	kept      set    // hosts on which tasks may stay
	lasting   []filter
	passing   []filter
	excluding bool             // some service has a hard rule that keeps others off its hosts
	devices   map[string]bool  // that the inventory gives to some host
	counts    []int32          // by host: tasks of the service that is being filled; else all 0
	counting  int              // that service, -1 for none
	holds     map[string]set   // hosts where a constraint holds, by its text
	classes   []int32          // by host: a number that hosts which constraints cannot tell apart share; nil while not worked out
	kinds     int              // classes there are
	trees     map[string]*tree // by the keys of preferences
}

// tally is what the board knows of a service.
type tally struct {
	service *Service // nil while only its containers are known
	name    string
	on      []int32 // the host of each of its tasks
	failing []int32 // hosts where it fails
}

// slot is what one host holds.
type slot struct {
	used        Reservation // by other projects and by all that was put here
	free        Reservation // capacity less used
	cpu, memory share       // of millicores, of KiB
	tasks       int32
	resources   Resources // like used
	ports       []heldPort
}

type heldPort struct {
	Port
	by Task // zero for another project
}

// NewBoard sets up the hosts with what other projects hold there. The hosts are not copied and must not change.
func NewBoard(hosts []Host) *Board {
	b := &Board{
		hosts: hosts, slots: make([]slot, len(hosts)), names: map[string]int{}, devices: map[string]bool{},
		queue: newQueue(len(hosts)), lost: newSet(len(hosts)), lasting: lasting, passing: passing, counts: make([]int32, len(hosts)), counting: -1,
		holds: map[string]set{}, trees: map[string]*tree{},
	}
	b.kept, b.taking = newSet(len(hosts)), newSet(len(hosts))
	for i := range hosts {
		h, s := &hosts[i], &b.slots[i]
		s.free = h.Capacity
		s.cpu, s.memory = shareOf(h.Capacity.CPU), shareOf(h.Capacity.Memory>>10)
		s.hold(h.Reserved)
		s.resources = h.Held
		for _, d := range h.Devices {
			b.devices[d] = true
		}
		for _, p := range h.Ports {
			if p.Published != 0 {
				s.ports = append(s.ports, heldPort{Port: p})
			}
		}
		if h.State == Ready && h.Availability != Drain {
			b.kept.add(i)
			if h.Availability != Pause {
				b.taking.add(i)
				b.queue.insert(int32(i), s.load())
			}
		}
	}
	return b
}

// Alone makes it the board of one host without a cluster, which behaves like docker compose: constraints, platform,
// capacity and tasks per host refuse nothing, because there is no choice. Reservations are still counted.
func (b *Board) Alone() { b.lasting, b.passing = lastingAlone, passingAlone }

// Used is what the host holds.
func (b *Board) Used(host int) Reservation { return b.slots[host].used }

// Service returns the index of a service, registering it when it is new.
func (b *Board) Service(name string) int {
	if i, ok := b.names[name]; ok {
		return i
	}
	i := len(b.services)
	b.names[name] = i
	b.services = append(b.services, tally{name: name})
	return i
}

// tasks is how many tasks of a service a host has.
func (b *Board) tasks(service, host int) int32 {
	if service == b.counting {
		return b.counts[host]
	}
	n := int32(0)
	for _, h := range b.services[service].on {
		if int(h) == host {
			n++
		}
	}
	return n
}

// count begins to keep the number of a service's tasks by host at hand; forget ends it.
func (b *Board) count(service int) {
	b.counting = service
	for _, h := range b.services[service].on {
		b.counts[h]++
	}
}

func (b *Board) forget() {
	for _, h := range b.services[b.counting].on {
		b.counts[h] = 0
	}
	b.counting = -1
}

// Hold puts something on a host without asking the filters: a container that is there already and stays.
func (b *Board) Hold(host int, t Task, r Reservation, ports []Port) {
	s := &b.slots[host]
	s.hold(r)
	s.tasks++
	service := &b.services[b.Service(t.Service)]
	service.on = append(service.on, int32(host))
	s.holdPorts(t, ports)
	b.moved(host)
}

// HoldPorts takes fixed ports of a host, for something that is no task of it: by is what refusals name.
func (b *Board) HoldPorts(host int, by string, ports []Port) {
	b.slots[host].holdPorts(Task{Service: by}, ports)
}

// Fails says that tasks of a service fail on a host: others get its new ones while they have room.
func (b *Board) Fails(host int, service string) {
	t := &b.services[b.Service(service)]
	t.failing = append(t.failing, int32(host))
}

// HoldResources is Hold for counted things.
func (b *Board) HoldResources(host int, r Resources) {
	b.slots[host].resources = b.slots[host].resources.add(r)
}

// Lose takes a host out of the choice: nothing is put there any more. What it held counts no longer.
func (b *Board) Lose(host int) {
	b.lost.add(host)
	b.kept[host>>6] &^= 1 << (host & 63)
	b.taking[host>>6] &^= 1 << (host & 63)
	b.losses++
	b.queue.remove(int32(host))
}

// open reports whether a host takes tasks: it answers, and is neither paused nor drained.
func (b *Board) open(host int32) bool { return b.taking.has(host) }

// keeps reports whether what is on a host may stay there: a paused host's tasks do.
func (b *Board) keeps(host int32) bool { return b.kept.has(host) }

func (s *slot) hold(r Reservation) { s.used, s.free = s.used.Add(r), s.free.Sub(r) }

func (s *slot) holdPorts(by Task, ports []Port) {
	for _, p := range ports {
		if p.Published != 0 {
			s.ports = append(s.ports, heldPort{p, by})
		}
	}
}

// load is how full a host is, in parts of fullLoad: that of the scarcer of CPU and memory by what is reserved, and one
// more for each task, which tells hosts apart where nothing is reserved.
func (s *slot) load() int32 {
	return min(max(s.cpu.of(s.used.CPU), s.memory.of(s.used.Memory>>10))+s.tasks, maxLoad)
}

// moved brings a host to its place in the order after its load changed.
func (b *Board) moved(host int) {
	if at, load := b.queue.at[host], b.slots[host].load(); at >= 0 && at != load {
		b.queue.remove(int32(host))
		b.queue.insert(int32(host), load)
	}
}

// Put puts a request on a host without asking the filters.
func (b *Board) Put(host int, r *Request) {
	s := &b.slots[host]
	s.hold(r.reservation)
	if len(r.resources) > 0 {
		s.resources = s.resources.add(r.resources)
	}
	for i := range r.parts {
		p := &r.parts[i]
		s.tasks += p.count
		on := &b.services[p.index].on
		for range p.count {
			*on = append(*on, int32(host))
		}
		if p.index == b.counting {
			b.counts[host] += p.count
		}
		if r.fixedPorts {
			s.holdPorts(p.task, p.service.Ports)
		}
	}
	b.moved(host)
}

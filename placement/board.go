package placement

// Board is the hosts with what they hold while placement decisions are made one after the other. Hosts are indexes
// into the slice that NewBoard got, services are indexes handed out by Service: there is no map in the inner loop.
// A Board is not safe for concurrent use.
type Board struct {
	hosts    []Host
	slots    []slot
	names    map[string]int // service name → index
	services [][]int32      // tasks of a service on each host, by service and host index
	lasting  []filter
	passing  []filter
	devices  map[string]bool // that the inventory gives to some host
}

// slot is what one host holds.
type slot struct {
	used      Reservation // by other projects and by all that was put here
	resources Resources   // the same
	tasks     int32
	ports     []heldPort
}

type heldPort struct {
	Port
	by Task // zero for another project
}

// NewBoard sets up the hosts with what other projects hold there. The hosts are not copied and must not change.
func NewBoard(hosts []Host) *Board {
	b := &Board{
		hosts: hosts, slots: make([]slot, len(hosts)), names: map[string]int{}, devices: map[string]bool{},
		lasting: lasting, passing: passing,
	}
	for i := range hosts {
		b.slots[i].used, b.slots[i].resources = hosts[i].Reserved, hosts[i].Held
		for _, d := range hosts[i].Devices {
			b.devices[d] = true
		}
		for _, p := range hosts[i].Ports {
			if p.Published != 0 {
				b.slots[i].ports = append(b.slots[i].ports, heldPort{Port: p})
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
	b.services = append(b.services, make([]int32, len(b.hosts)))
	return i
}

// Hold puts something on a host without asking the filters: a container that is there already and stays.
func (b *Board) Hold(host int, t Task, r Reservation, ports []Port) {
	s := &b.slots[host]
	s.used = s.used.Add(r)
	s.tasks++
	b.services[b.Service(t.Service)][host]++
	s.hold(t, ports)
}

// HoldResources is Hold for counted things.
func (b *Board) HoldResources(host int, r Resources) {
	b.slots[host].resources = b.slots[host].resources.add(r)
}

func (s *slot) hold(by Task, ports []Port) {
	for _, p := range ports {
		if p.Published != 0 {
			s.ports = append(s.ports, heldPort{p, by})
		}
	}
}

// Put puts a request on a host without asking the filters.
func (b *Board) Put(host int, r *Request) {
	s := &b.slots[host]
	s.used = s.used.Add(r.reservation)
	s.resources = s.resources.add(r.resources)
	for i := range r.parts {
		p := &r.parts[i]
		s.tasks += p.count
		b.services[p.index][host] += p.count
		s.hold(p.task, p.service.Ports)
	}
}

// usage is how full a host is by reservations, in millionths of its capacity: that of the scarcer of CPU and memory.
// Integers, so that every platform decides alike.
func (b *Board) usage(host int) int64 {
	used, total := b.slots[host].used, b.hosts[host].Capacity
	var cpu, memory int64
	if total.CPU > 0 {
		cpu = used.CPU * 1_000_000 / total.CPU
	}
	if kib := total.Memory >> 10; kib > 0 {
		memory = (used.Memory >> 10) * 1_000_000 / kib
	}
	return max(cpu, memory)
}

package ingress

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// The old iptables (iptables-legacy) keeps a table as one block of entries, which is read and replaced whole
// (linux/netfilter_ipv4/ip_tables.h). A replacement names the number of entries that it was made from, and is refused with
// EAGAIN when that has changed meanwhile, so that nobody's rule is lost.
const (
	getInfo, getEntries    = 64, 65
	setReplace, addCounter = 64, 65

	entrySize  = 112 // struct ipt_entry; its next two fields are at
	targetAt   = 88  // uint16 offset of the target
	nextAt     = 90  // uint16 offset of the next entry
	countersAt = 96

	inMaskAt, outMaskAt = 16 + 2*16, 16 + 3*16 // interface masks; the names are at 16 and 32
	infoAt              = 32                   // data of a match or target, after its size, name and revision

	verdictAccept, verdictReturn = -1 - 1, -1 - 4 // -NF_ACCEPT-1, -NF_REPEAT-1
)

// legacyEntry is one entry of a table.
type legacyEntry struct {
	old   int // where it was; -1 for a new one
	index int
	bytes []byte
}

func (e legacyEntry) target() []byte { return e.bytes[order.Uint16(e.bytes[targetAt:]):] }

// chain is the name of the chain that the entry begins, "" for others; the table's end is one named ERROR.
func (e legacyEntry) chain() string {
	if t := e.target(); text(t[2:31]) == "ERROR" {
		return text(t[infoAt:])
	}
	return ""
}

// verdict is that of a standard target; ok is false for others.
func (e legacyEntry) verdict() (v int32, ok bool) {
	t := e.target()
	if t[2] != 0 {
		return 0, false
	}
	return int32(order.Uint32(t[infoAt:])), true
}

// ours reports whether an entry has berth's comment.
func (e legacyEntry) ours() bool {
	for at := entrySize; at < int(order.Uint16(e.bytes[targetAt:])); at += int(order.Uint16(e.bytes[at:])) {
		if m := e.bytes[at:]; text(m[2:31]) == "comment" && text(m[infoAt:]) == Comment {
			return true
		}
	}
	return false
}

// returns reports whether an entry is an unconditional return.
func (e legacyEntry) returns() bool {
	v, ok := e.verdict()
	return ok && v == verdictReturn && len(e.bytes) == entrySize+40 && !slices.ContainsFunc(e.bytes[:84], func(b byte) bool { return b != 0 })
}

func text(b []byte) string { s, _, _ := bytes.Cut(b, []byte{0}); return string(s) }

// legacy brings the rules in the old iptables' table in line, if the host has one with the engine's chain.
func (i *Ingress) legacy(wanted bool) error {
	tables, err := os.ReadFile("/proc/thread-self/net/ip_tables_names") // asking for a table that is not there would make it
	if err != nil || !slices.Contains(strings.Fields(string(tables)), filterTable) || unsafe.Sizeof(uintptr(0)) != 8 {
		return nil
	}
	for range 10 {
		if err = i.editLegacy(wanted); !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("ingress: write the rules of %s with the old iptables: %w", filterChain, err)
	}
	return nil
}

func (i *Ingress) editLegacy(wanted bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	info := append([]byte(filterTable), make([]byte, 84-len(filterTable))...)
	if err := option(unix.SYS_GETSOCKOPT, fd, getInfo, info); err != nil {
		return err
	}
	size := int(order.Uint32(info[80:]))
	block := make([]byte, 40+size)
	copy(block, filterTable)
	order.PutUint32(block[32:], uint32(size))
	if err := option(unix.SYS_GETSOCKOPT, fd, getEntries, block); err != nil {
		return err
	}
	var entries []legacyEntry
	for at := 0; at < size; {
		b := block[40+at:]
		next := int(order.Uint16(b[nextAt:]))
		if next < entrySize {
			return fmt.Errorf("an entry of %d bytes: %w", next, unix.EINVAL)
		}
		entries = append(entries, legacyEntry{at, len(entries), b[:next:next]})
		at += next
	}
	edited, changed := editChain(entries, wanted)
	if !changed {
		return nil
	}
	return replaceLegacy(fd, info, entries, edited)
}

// editChain gives the entries with berth's rules where they belong, or without.
func editChain(entries []legacyEntry, wanted bool) (edited []legacyEntry, changed bool) {
	begin := slices.IndexFunc(entries, func(e legacyEntry) bool { return e.chain() == filterChain })
	if begin < 0 {
		return entries, false
	}
	end := begin + 1
	for entries[end].chain() == "" {
		end++
	}
	body := entries[begin+1 : end] // the last is what ends every chain
	kept := slices.DeleteFunc(slices.Clone(body), legacyEntry.ours)
	if had := len(body) - len(kept); had == 0 && !wanted || had == len(filterRules()) && wanted {
		return entries, false
	}
	if wanted {
		at := len(kept) - 1
		for n, e := range kept[:at] {
			if e.returns() {
				at = n
			}
		}
		kept = slices.Insert(kept, at, legacyRules()...)
	}
	return slices.Concat(entries[:begin+1], kept, entries[end:]), true
}

// legacyRules are filterRules in the old form.
func legacyRules() []legacyEntry {
	var all []legacyEntry
	for n, c := range conntrackRules() {
		e := make([]byte, entrySize)
		name, mask := 32, outMaskAt // -o
		if n == 1 {
			name, mask = 16, inMaskAt // -i
		}
		copy(e[name:], "bt")
		copy(e[mask:], "\xff\xff")
		state, _ := xt.Marshal(xt.TableFamily(unix.NFPROTO_IPV4), 3, &c)
		comment := make([]byte, xt.CommentSize)
		copy(comment, Comment)
		e = append(e, extension("conntrack", 3, state)...)
		e = append(e, extension("comment", 0, comment)...)
		order.PutUint16(e[targetAt:], uint16(len(e)))
		v := int32(verdictAccept)
		e = append(e, extension("", 0, order.AppendUint32(nil, uint32(v)))...)
		order.PutUint16(e[nextAt:], uint16(len(e)))
		all = append(all, legacyEntry{old: -1, bytes: e})
	}
	return all
}

// extension is a match or a target: size, name, revision and data, in whole words of eight bytes.
func extension(name string, revision byte, data []byte) []byte {
	b := make([]byte, infoAt, infoAt+len(data)+8)
	copy(b[2:], name)
	b[31] = revision
	b = append(b, data...)
	b = append(b, make([]byte, -len(b)&7)...)
	order.PutUint16(b, uint16(len(b)))
	return b
}

// replaceLegacy writes the table, with what points from entry to entry put right, and gives the counters back.
func replaceLegacy(fd int, info []byte, before, after []legacyEntry) error {
	moved := map[uint32]uint32{} // where what was at an offset begins now: with the new entries before it
	size, fresh := uint32(0), -1
	for n, e := range after {
		if e.old < 0 && fresh < 0 {
			fresh = int(size)
		}
		if e.old >= 0 {
			moved[uint32(e.old)] = size
			if n > 0 && after[n-1].old < 0 {
				moved[uint32(e.old)] = uint32(fresh)
			}
		}
		size += uint32(len(e.bytes))
	}
	for n := len(before) - 1; n >= 0; n-- { // what is gone is where its successor is; a table's last entry stays
		if _, ok := moved[uint32(before[n].old)]; !ok {
			moved[uint32(before[n].old)] = moved[uint32(before[n+1].old)]
		}
	}
	counters := make([]byte, 16*len(before))
	out := make([]byte, 96, 96+size)
	copy(out, info[:36]) // name, hooks
	order.PutUint32(out[36:], uint32(len(after)))
	order.PutUint32(out[40:], size)
	for n := range 10 { // hook_entry, underflow; those of hooks that the table does not have are not looked at
		order.PutUint32(out[44+4*n:], moved[order.Uint32(info[36+4*n:])])
	}
	order.PutUint32(out[84:], uint32(len(before)))
	order.PutUint64(out[88:], uint64(uintptr(unsafe.Pointer(&counters[0]))))
	for _, e := range after {
		b := slices.Clone(e.bytes)
		if v, ok := e.verdict(); ok && v >= 0 {
			order.PutUint32(legacyEntry{bytes: b}.target()[infoAt:], moved[uint32(v)])
		}
		out = append(out, b...)
	}
	err := option(unix.SYS_SETSOCKOPT, fd, setReplace, out)
	if err == nil {
		back := append([]byte(filterTable), make([]byte, 40-len(filterTable))...)
		order.PutUint32(back[32:], uint32(len(after)))
		for _, e := range after {
			c := make([]byte, 16)
			if e.old >= 0 {
				copy(c, counters[16*e.index:])
			}
			back = append(back, c...)
		}
		err = option(unix.SYS_SETSOCKOPT, fd, addCounter, back)
	}
	runtime.KeepAlive(counters)
	return err
}

// option reads or writes an option of the IP layer.
func option(call uintptr, fd int, name int, value []byte) error {
	var e unix.Errno
	size := uint32(len(value))
	if call == unix.SYS_GETSOCKOPT {
		_, _, e = unix.Syscall6(call, uintptr(fd), unix.IPPROTO_IP, uintptr(name), uintptr(unsafe.Pointer(&value[0])), uintptr(unsafe.Pointer(&size)), 0)
	} else {
		_, _, e = unix.Syscall6(call, uintptr(fd), unix.IPPROTO_IP, uintptr(name), uintptr(unsafe.Pointer(&value[0])), uintptr(size), 0)
	}
	if e != 0 {
		return e
	}
	return nil
}

package shortcut

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// tables are what the program looks things up in, and this process writes.
type tables struct {
	places  *ebpf.Map // tunnel and MAC address → place in devices
	devices *ebpf.Map // place → a container's port; the kernel empties the place of one that is deleted
}

// noPrealloc is BPF_F_NO_PREALLOC (linux/bpf.h): memory for what is in the table only.
const noPrealloc = 1

func newTables() (t tables, err error) {
	t.places, err = ebpf.NewMap(&ebpf.MapSpec{Name: "berth_places", Type: ebpf.Hash,
		KeySize: keyLen, ValueSize: 4, MaxEntries: maxPorts, Flags: noPrealloc})
	if err == nil {
		t.devices, err = ebpf.NewMap(&ebpf.MapSpec{Name: "berth_ports", Type: ebpf.DevMap, KeySize: 4, ValueSize: 4, MaxEntries: maxPorts})
	}
	return t, err
}

func (t tables) close() {
	for _, m := range []*ebpf.Map{t.places, t.devices} {
		if m != nil {
			m.Close()
		}
	}
}

// keyLen is the length of a key: the tunnel's index, a MAC address and two bytes of nothing.
const keyLen = 12

func keyOf(tunnel int, mac MAC) (key [keyLen]byte) {
	binary.NativeEndian.PutUint32(key[:], uint32(tunnel))
	copy(key[4:], mac[:])
	return key
}

// Of linux/bpf.h: where struct __sk_buff has what, and what a program returns that has nothing to say.
const (
	skbMark    = 8
	skbIfindex = 40
	skbData    = 76
	skbDataEnd = 80
	tcxNext    = -1
)

const (
	packetHost = 0 // PACKET_HOST, linux/if_packet.h
	etherLen   = 14
)

// Where the program has its keys on the stack.
const (
	placeKey  = -keyLen
	deviceKey = placeKey - 4
)

// program looks for the container that a frame out of a tunnel is for. It is written in the machine's own words, so that
// nothing has to be compiled.
func (t tables) program() (*ebpf.Program, error) {
	code := asm.Instructions{
		// The frame, R6, has a destination ...
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, skbData, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, skbDataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, etherLen),
		asm.JGT.Reg(asm.R4, asm.R3, "bridge"),
		// ... which with the tunnel makes a key, as keyOf does.
		asm.LoadMem(asm.R1, asm.R6, skbIfindex, asm.Word),
		asm.StoreMem(asm.RFP, placeKey, asm.R1, asm.Word),
		asm.LoadMem(asm.R1, asm.R2, 0, asm.Word),
		asm.StoreMem(asm.RFP, placeKey+4, asm.R1, asm.Word),
		asm.LoadMem(asm.R1, asm.R2, 4, asm.Half),
		asm.StoreMem(asm.RFP, placeKey+8, asm.R1, asm.Half),
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.RFP, placeKey+10, asm.R1, asm.Half),
	}
	code = append(code, lookUp(t.places, placeKey)...)
	code = append(code,
		asm.LoadMem(asm.R1, asm.R0, 0, asm.Word),
		asm.StoreMem(asm.RFP, deviceKey, asm.R1, asm.Word),
	)
	code = append(code, lookUp(t.devices, deviceKey)...)
	code = append(code,
		asm.LoadMem(asm.R7, asm.R0, 0, asm.Word),
		// Two things that a veth does on the way: the frame is for whom it comes to, and carries no mark of the host.
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, packetHost),
		asm.FnSkbChangeType.Call(),
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.R6, skbMark, asm.R1, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R7),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirectPeer.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, tcxNext).WithSymbol("bridge"),
		asm.Return(),
	)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "berth_shortcut", Type: ebpf.SchedCLS, License: "MIT", Instructions: code})
	if err != nil {
		return nil, fmt.Errorf("the kernel does not take it: %w", err)
	}
	return p, nil
}

// lookUp leaves a pointer to the value of the key at a place of the stack in R0, or goes on at "bridge".
func lookUp(m *ebpf.Map, key int32) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, key),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "bridge"),
	}
}

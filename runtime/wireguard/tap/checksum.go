package tap

import (
	"encoding/binary"
	"math/bits"
)

// sum adds b to a sum of the Internet checksum (RFC 1071), which begins with 0. The words are little-endian ones, which
// the checksum allows as long as the result is written the same way ([fold]).
func sum(b []byte, acc uint64) uint64 {
	var carry uint64
	for len(b) >= 64 {
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b), 0)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[8:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[16:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[24:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[32:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[40:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[48:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[56:]), carry)
		acc += carry
		b = b[64:]
	}
	for len(b) >= 8 {
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b), 0)
		acc += carry
		b = b[8:]
	}
	if len(b) > 0 {
		var rest [8]byte
		copy(rest[:], b)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(rest[:]), 0)
		acc += carry
	}
	return acc
}

// fold makes 16 bits of a sum. It is 0xffff of what holds its own checksum, if that is right.
func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc)
}

// putSum writes a folded sum as it is; putChecksum writes its complement, which makes it a checksum.
func putSum(b []byte, acc uint64)      { binary.LittleEndian.PutUint16(b, fold(acc)) }
func putChecksum(b []byte, acc uint64) { binary.LittleEndian.PutUint16(b, ^fold(acc)) }

// pseudo is the sum of the header that TCP's checksum covers beside the segment: addresses of ip, protocol and length.
func pseudo(ip []byte, length int) uint64 {
	var last [4]byte
	last[1] = protocolTCP
	binary.BigEndian.PutUint16(last[2:], uint16(length))
	if ip[0]>>4 == 4 {
		return sum(ip[12:20], sum(last[:], 0))
	}
	return sum(ip[8:40], sum(last[:], 0))
}

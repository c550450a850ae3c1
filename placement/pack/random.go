package pack

import "math/bits"

// next is the next number of the search's own sequence (splitmix64): the same on every run and platform.
func (s *state) next() uint64 {
	s.random += 0x9e3779b97f4a7c15
	return mix(s.random)
}

// mix is splitmix64's scrambling of a number.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below is a number of the sequence from 0 to n-1.
func (s *state) below(n int) int {
	high, _ := bits.Mul64(s.next(), uint64(n))
	return int(high)
}

// Package pack is bin packing in whole numbers: which items go on which hosts, so that as few as possible stay without a
// host and, of those packings, as few hosts as possible are opened. It knows nothing of services and engines; placement
// calls it for the strategy binpack.
//
// Batch packs a whole project at once. It builds a packing host by host, taking each time the item that is largest and
// keeps what is left of the host in the proportion of what is left to place; improves it by emptying a few hosts and
// filling them anew together with what has no place, until a lower bound is met or the steps are spent; and for small
// problems looks through all packings.
//
// Online places single items as they come, each on the host whose free CPU and memory it leaves in the best proportion.
//
// Everything is deterministic: no clock (a budget is a number of steps), no map order, no floating point, and random
// numbers come from a sequence of the package's own. README.md has the measured quality.
package pack

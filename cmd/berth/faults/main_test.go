// Package faults_test breaks a cluster that serves, in every way that is known to happen, and measures how long it takes
// until all is well again without anybody's help:
//
//	go test ./cmd/berth/faults -v               the table at the end says what was repaired, and when
//	go test ./cmd/berth/faults -v -slow         with the faults that take long to break or to mend
package faults_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"berth/fixtures/lab/lab"
)

// program is the berth program under test, built once.
var program string

var slow = flag.Bool("slow", false, "also the faults that take long to break or to mend")

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "berth-faults-")
	if err != nil {
		panic(err)
	}
	if program, err = lab.BuildBerth(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := lab.Main(m)
	os.RemoveAll(dir)
	os.Exit(code)
}

//go:build !unix

package provider

import "os/exec"

// group does nothing where there are no process groups.
func group(*exec.Cmd) {}

// terminate ends the program; there is no signal to ask it.
func terminate(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

//go:build unix

package provider

import (
	"os/exec"
	"syscall"
)

// group gives a program that is going to be started a process group of its own: a terminal's Ctrl-C reaches this program
// alone, which tells the other to end, and with it what that has started.
func group(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// terminate tells the group to end. One that has ended is none, which is no error.
func terminate(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

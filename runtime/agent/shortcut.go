package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"berth/runtime/overlay/shortcut"
)

// openShortcut loads the shortcut's programs, and gives up the one right of the agent that is for nothing else before it
// does anything more. Where programs cannot be loaded the shortcut is nil: everything takes the bridges.
func openShortcut(log *slog.Logger) (*shortcut.Shortcut, error) {
	way, err := shortcut.Open()
	if err != nil {
		log.Info("all frames take the bridges", "err", err)
		way = nil
	}
	if err := giveUpAdmin(); err != nil {
		way.Close()
		return nil, err
	}
	return way, nil
}

// giveUpAdmin takes CAP_SYS_ADMIN from this process and all that it starts; no-new-privileges keeps it from coming back.
func giveUpAdmin() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("give up CAP_SYS_ADMIN: %w", os.NewSyscallError("capget", err))
	}
	const admin = uint32(1) << unix.CAP_SYS_ADMIN
	if data[0].Permitted&admin == 0 {
		return nil
	}
	data[0].Permitted &^= admin
	data[0].Effective &^= admin
	data[0].Inheritable &^= admin
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0)
	switch {
	case errno == 0:
		return nil
	case !errors.Is(errno, unix.ENOTSUP):
		return fmt.Errorf("give up CAP_SYS_ADMIN: %w", os.NewSyscallError("capset", errno))
	}
	// A berth that is linked with C cannot change all of its threads, so it begins anew from one that is changed: without
	// the right, and so without the shortcut.
	runtime.LockOSThread()
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("give up CAP_SYS_ADMIN: %w", os.NewSyscallError("capset", err))
	}
	return fmt.Errorf("begin anew without CAP_SYS_ADMIN: %w", unix.Exec("/proc/self/exe", os.Args, os.Environ()))
}

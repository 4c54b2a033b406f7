package main

import "syscall"

// attributes put a command into a process group of its own, and end it with the thread that
// starts it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

package e2e

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// start starts a daemon that the kernel kills when this process ends, in whatever way it
// does; the daemon's plugin then ends by itself. The kernel watches the thread that
// started the daemon, not the process (golang.org/issue/27505), so one thread starts all.
func start(cmd *exec.Cmd) error {
	keepStarter()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	err := make(chan error)
	starts <- func() { err <- cmd.Start() }
	return <-err
}

var starts = make(chan func())

// keepStarter has a goroutine keep its thread for as long as the process lives.
var keepStarter = sync.OnceFunc(func() {
	go func() {
		runtime.LockOSThread()
		for start := range starts {
			start()
		}
	}()
})

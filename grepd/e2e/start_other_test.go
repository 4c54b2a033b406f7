//go:build !linux

package e2e

import "os/exec"

// start starts a daemon. It stays behind when this process is killed.
func start(cmd *exec.Cmd) error { return cmd.Start() }

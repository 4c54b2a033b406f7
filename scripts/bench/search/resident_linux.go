package main

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// peakKB is the most memory that an ended process had resident.
func peakKB(state *os.ProcessState) int64 { return state.SysUsage().(*syscall.Rusage).Maxrss }

// livePeakKB is the most memory that a running process had resident.
func livePeakKB(pid int) (kb int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, peak, found := bytes.Cut(status, []byte("VmHWM:"))
	if _, err := fmt.Sscan(string(peak), &kb); !found || err != nil {
		return 0, fmt.Errorf("/proc/%d/status has no VmHWM", pid)
	}
	return kb, nil
}

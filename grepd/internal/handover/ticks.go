package handover

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// startTicks is when a process started, in clock ticks since the machine did, so that a
// process id and this name a process for good. It is 0 where there is no /proc.
func startTicks(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if os.IsNotExist(err) && !hasProc() {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	// The program's name is in parentheses and may hold anything. Of what follows it, the
	// first is field 3 of proc(5), and starttime is field 22.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields after the name", pid, len(fields))
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

func hasProc() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}

package timetest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ticksMin is the shortest sample, in clock ticks of all processors together. The system
// counts in ticks, and a shorter one says nothing.
const ticksMin = 10

// usage is how long the machine's processors have been used, in clock ticks since it
// started. It is zero where the system does not say.
type usage struct {
	total, idle uint64 // of all processors
	own         uint64 // used by this process and its descendants
}

// othersShare is the share of the processors' time that others have used since before.
func (u usage) othersShare(before usage) float64 {
	total := float64(u.total - before.total)
	idle := float64(u.idle) - float64(before.idle)
	own := float64(u.own) - float64(before.own) // what has ended may be nobody's any more
	if total <= 0 {
		return 0
	}
	return max(0, total-idle-max(0, own)) / total
}

func readUsage() usage {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return usage{}
	}
	u, err := parseMachine(stat)
	if err != nil {
		return usage{}
	}
	u.own = ownTicks(os.Getpid(), readProcesses())
	return u
}

// parseMachine reads /proc/stat, whose first line is of all processors: user, nice, system,
// idle, iowait, irq, softirq, steal; what is behind that is part of user and nice.
func parseMachine(stat []byte) (u usage, err error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := strings.Fields(string(line))
	const counters = 8
	if len(fields) < 1+counters || fields[0] != "cpu" {
		return u, fmt.Errorf("a line %q, not of all processors", line)
	}
	for i, field := range fields[1 : 1+counters] {
		ticks, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return usage{}, err
		}
		u.total += ticks
		if i == 3 || i == 4 {
			u.idle += ticks
		}
	}
	return u, nil
}

// processTicks is what one process has used, with the children that it has waited for.
type processTicks struct {
	pid, parent int
	ticks       uint64
}

func readProcesses() (all []processTicks) {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if p, err := parseProcess(stat); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// parseProcess reads /proc/PID/stat: the id, the name in parentheses, which may hold anything,
// and numbers, of which proc(5) counts the parent as 4 and the times as 14 to 17.
func parseProcess(stat []byte) (p processTicks, err error) {
	end := bytes.LastIndexByte(stat, ')')
	begin := bytes.IndexByte(stat, '(')
	if begin < 0 || end < begin {
		return p, fmt.Errorf("a process %q without a name", stat)
	}
	if p.pid, err = strconv.Atoi(strings.TrimSpace(string(stat[:begin]))); err != nil {
		return p, err
	}
	fields := strings.Fields(string(stat[end+1:])) // from 3 on
	if len(fields) < 15 {
		return p, fmt.Errorf("a process %q of %d fields", stat, len(fields))
	}
	if p.parent, err = strconv.Atoi(fields[1]); err != nil {
		return p, err
	}
	for _, field := range fields[11:15] {
		ticks, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return p, err
		}
		p.ticks += ticks
	}
	return p, nil
}

// ownTicks is what the process root and its descendants have used.
func ownTicks(root int, all []processTicks) (ticks uint64) {
	parents := make(map[int]int, len(all))
	for _, p := range all {
		parents[p.pid] = p.parent
	}
	for _, p := range all {
		pid := p.pid
		for range all { // at most, should the ids have changed meanwhile
			if pid == root || pid == 0 {
				break
			}
			pid = parents[pid]
		}
		if pid == root {
			ticks += p.ticks
		}
	}
	return ticks
}

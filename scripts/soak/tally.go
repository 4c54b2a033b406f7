package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// detailsMax bounds what is said of lines that were lost or doubled, and of gaps.
const detailsMax = 20

// sequence finds the log and the number in a line.
var sequence = regexp.MustCompile(`SEQ ([0-9]+)\.([0-9]+)$`)

// tally counts the lines of each log by their numbers, and the gaps that were told.
type tally struct {
	mu     sync.Mutex
	counts [][]uint8 // of each log, by number
	lines  int
	gaps   []string
	alien  []string // what is neither
}

func newTally(logs int) *tally { return &tally{counts: make([][]uint8, logs)} }

// line takes in a printed line.
func (t *tally) line(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := sequence.FindStringSubmatch(text)
	if found == nil {
		t.alien = append(t.alien, text)
		return
	}
	log, errLog := strconv.Atoi(found[1])
	number, err := strconv.Atoi(found[2])
	if errLog != nil || err != nil || log >= len(t.counts) || number > 1<<30 {
		t.alien = append(t.alien, text)
		return
	}
	for len(t.counts[log]) <= number {
		t.counts[log] = append(t.counts[log], make([]uint8, 1024)...)
	}
	if t.counts[log][number] < 255 {
		t.counts[log][number]++
	}
	t.lines++
}

// message takes in what dgrep says beside the lines.
func (t *tally) message(text string) {
	if !strings.Contains(text, "gap:") {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gaps = append(t.gaps, text)
}

// verdict is how what was printed differs from what was written.
type verdict struct {
	written, printed, lost, doubled, gaps, alien int
	details                                      []string
}

// verdict compares what was printed with how many lines were written to each log.
func (t *tally) verdict(written []int) verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := verdict{printed: t.lines, gaps: len(t.gaps), alien: len(t.alien)}
	for log, n := range written {
		v.written += n
		for number := 1; number <= max(n, len(t.counts[log])-1); number++ {
			printed := 0
			if number < len(t.counts[log]) {
				printed = int(t.counts[log][number])
			}
			wanted := 0
			if number <= n {
				wanted = 1
			}
			v.compare(log, number, printed, wanted)
		}
	}
	for _, text := range append(t.gaps, t.alien...) {
		v.detail(text)
	}
	return v
}

func (v *verdict) compare(log, number, printed, wanted int) {
	switch {
	case printed < wanted:
		v.lost++
		v.detail(fmt.Sprintf("lost: %d.%d", log, number))
	case printed > wanted:
		v.doubled += printed - wanted
		v.detail(fmt.Sprintf("printed %d times: %d.%d", printed, log, number))
	}
}

func (v *verdict) detail(text string) {
	if len(v.details) < detailsMax {
		v.details = append(v.details, text)
	}
}

func (v verdict) good() bool { return v.lost == 0 && v.doubled == 0 && v.gaps == 0 && v.alien == 0 }

func (v verdict) String() string {
	return fmt.Sprintf("%d lines written, %d printed, %d lost, %d doubled, %d false gaps, %d others",
		v.written, v.printed, v.lost, v.doubled, v.gaps, v.alien)
}

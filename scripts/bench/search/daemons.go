package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/aksinghdce/cluster-membership-service/scripts/bench/internal/sample"
)

const (
	rarePattern  = `FAIL`
	tenRegex     = `[A-Z]{5}[^"A-Z]` // rare, without a literal
	densePattern = `HEARTBEAT`

	// Through one daemon a rare answer may take so much longer than from the local engine.
	daemonSlack      = 20 // ms
	daemonSlackShare = 1.10
	// daemonRateMin is the least throughput of a dense answer through one daemon, in MB/s.
	daemonRateMin = 400
	// tenShareMax is how much longer ten daemons may take than the local engine with the same text.
	tenShareMax = 1.15
	// firstMax is when the first line of ten daemons must be here, in ms.
	firstMax = 30
	// memoryMaxKB is the most that any process may have resident.
	memoryMaxKB = 64 << 10

	tenDaemons = 10
	// firstMark stands in the first line of what each daemon searches.
	firstMark = "the first line"
	// slowBytesPerSecond is the pace of the slow reader.
	slowBytesPerSecond = 400 * mb
)

// daemon measures what the way through one daemon costs.
func (b *bench) daemon(corpora []corpus) (err error) {
	c := corpora[0]
	cluster, err := b.start([]string{filepath.Dir(c.path)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.stop()) }()
	file := "bench/" + filepath.Base(c.path)
	fmt.Fprintf(b.w, "\nthrough one daemon, %s, %d MB: wall time in ms\n", c.name, c.bytes/mb)
	t := table(b.w, "\tdgrep\tthrough a daemon\tdaemon/dgrep\ttarget\t")
	for _, class := range classes {
		pattern := c.patterns[class.name]
		args := append([]string{"-h", "-E"}, class.options...)
		all, err := b.alternate(false, b.local(c, class.options, pattern), cluster.query("daemon", append(args, "-e", pattern, file)...))
		if err != nil {
			return err
		}
		local, through := sample.Median(all[0].wall), sample.Median(all[1].wall)
		target, held := "", ""
		switch class.name {
		case "literal":
			limit := local*daemonSlackShare + daemonSlack
			target, held = fmt.Sprintf("at most %.1f", limit), verdictOf(through <= limit)
		case "dense":
			rate := float64(all[1].bytes) / mb / through * 1000
			target, held = fmt.Sprintf("%.0f MB/s, at least %d", rate, daemonRateMin), verdictOf(rate >= daemonRateMin)
		}
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.2f\t%s\t%s\n", class.name, local, through, through/local, target, held)
	}
	return t.Flush()
}

// shares are what ten daemons search: a tenth of a text each, twice the corpus in all.
type shares struct {
	dirs  []string
	whole corpus // all of it in one file
}

// shares writes them. Each begins with a line that nothing else holds.
func (b *bench) shares(c corpus) (s shares, err error) {
	s.whole = corpus{name: "shares", path: filepath.Join(b.options.dir, fmt.Sprintf("whole-%d-%d.log", b.options.mb, b.options.seed))}
	for i := range tenDaemons {
		s.dirs = append(s.dirs, filepath.Join(b.options.dir, fmt.Sprintf("share%d-%d-%d", i, b.options.mb, b.options.seed)))
	}
	err = made(s.whole.path, func(path string) error { return writeShares(c, s.dirs, path) })
	if err != nil {
		return s, err
	}
	info, err := os.Stat(s.whole.path)
	if err == nil {
		s.whole.bytes = info.Size()
	}
	return s, err
}

func writeShares(c corpus, dirs []string, whole string) error {
	all, err := os.Create(whole)
	if err != nil {
		return err
	}
	defer all.Close()
	text, err := os.Open(c.path)
	if err != nil {
		return err
	}
	defer text.Close()
	size := c.bytes * 2 / int64(len(dirs))
	for i, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		share, err := os.Create(filepath.Join(dir, "share.log"))
		if err != nil {
			return err
		}
		defer share.Close()
		both := io.MultiWriter(all, share)
		from := int64(i) * size % (c.bytes - size + 1)
		// The part begins and ends within lines, of which the first becomes the end of the marked one.
		if _, err := fmt.Fprintf(both, `{"node":%d,"detail":"%s"`, i, firstMark); err != nil {
			return err
		}
		if _, err := io.Copy(both, io.NewSectionReader(text, from, size)); err != nil {
			return err
		}
		if _, err := both.Write([]byte{'\n'}); err != nil {
			return err
		}
		if err := share.Close(); err != nil {
			return err
		}
	}
	return all.Close()
}

// ten measures ten daemons beside the local engine with the same text.
func (b *bench) ten(corpora []corpus) error {
	return b.withTen(corpora[0], func(s shares, cluster *cluster) error {
		fmt.Fprintf(b.w, "\nten daemons with a tenth of %d MB each: wall time in ms\n", s.whole.bytes/mb)
		t := table(b.w, "\tdgrep\tten daemons\tten/dgrep\ttarget\t")
		for _, pattern := range []string{rarePattern, tenRegex} {
			all, err := b.alternate(true, b.local(s.whole, nil, pattern), cluster.query("ten", "-h", "-E", "-e", pattern, "bench/share.log"))
			if err != nil {
				return err
			}
			local, ten := sample.Median(all[0].wall), sample.Median(all[1].wall)
			fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.2f\tat most %.2f\t%s\n", pattern, local, ten, ten/local, tenShareMax, verdictOf(ten <= tenShareMax*local))
		}
		return t.Flush()
	})
}

// first measures when the first line of ten daemons comes.
func (b *bench) first(corpora []corpus) error {
	return b.withTen(corpora[0], func(s shares, cluster *cluster) error {
		all, err := b.alternate(true, cluster.query("ten", "-h", "-F", "-e", firstMark, "bench/share.log"))
		if err != nil {
			return err
		}
		first := sample.Median(all[0].first)
		fmt.Fprintf(b.w, "\nten daemons, a match in each one's first line: the first is printed after %.1f ms of %.1f (target: at most %d)  %s\n",
			first, sample.Median(all[0].wall), firstMax, verdictOf(first <= firstMax))
		return nil
	})
}

func (b *bench) withTen(c corpus, do func(shares, *cluster) error) (err error) {
	s, err := b.shares(c)
	if err != nil {
		return err
	}
	cluster, err := b.start(s.dirs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.stop()) }()
	return do(s, cluster)
}

// memory measures what is resident while a large answer goes to a slow reader. Each
// daemon searches its share under as many names as make the answer long enough.
func (b *bench) memory(corpora []corpus) (err error) {
	s, err := b.shares(corpora[0])
	if err != nil {
		return err
	}
	names := (int64(b.options.memoryMB)*mb + s.whole.bytes - 1) / s.whole.bytes
	var dirs []string
	for i, share := range s.dirs {
		dir, err := os.MkdirTemp(b.options.dir, "names"+strconv.Itoa(i)+".")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		for n := range names {
			if err := os.Link(filepath.Join(share, "share.log"), filepath.Join(dir, strconv.FormatInt(n, 10))); err != nil {
				return err
			}
		}
		dirs = append(dirs, dir)
	}
	cluster, err := b.start(dirs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.stop()) }()
	start, read := time.Now(), 0
	r, err := cluster.query("memory", "-e", densePattern, "bench/*").run(b.ctx, func(p []byte) {
		read += len(p)
		due := time.Duration(float64(read) / slowBytesPerSecond * float64(time.Second))
		time.Sleep(due - time.Since(start))
	})
	if err != nil {
		return err
	}
	daemon, err := cluster.peakKB()
	if err != nil {
		return err
	}
	fmt.Fprintf(b.w, "\nten daemons, an answer of %d MB to a reader of at most %d MB/s, in %.1f s: at most resident\n",
		r.bytes/mb, slowBytesPerSecond/mb, r.wall.Seconds())
	t := table(b.w, "\tMiB\ttarget\t")
	fmt.Fprintf(t, "dgrep\t%.1f\tat most %d\t%s\n", float64(r.rssKB)/1024, memoryMaxKB/1024, verdictOf(r.rssKB <= memoryMaxKB))
	fmt.Fprintf(t, "the largest daemon\t%.1f\tat most %d\t%s\n", float64(daemon)/1024, memoryMaxKB/1024, verdictOf(daemon <= memoryMaxKB))
	return t.Flush()
}

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/server/servertest"
)

// logLine is a line as dgrep prints it, and by what it is sorted.
type logLine struct {
	at         int64
	node, file int
	text       string
}

// timedCluster makes a cluster of some nodes with some logs each, all in order. Some lines have no time, and
// some are long.
func timedCluster(t *testing.T, random *rand.Rand) (cluster *servertest.Cluster, lines []logLine) {
	t.Helper()
	nodes := 1 + random.IntN(4)
	listeners, err := servertest.Listen(nodes)
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for node := range nodes {
		dirs = append(dirs, t.TempDir())
		for file := range 1 + random.IntN(4) {
			path := fmt.Sprint("logs/", string(rune('a'+file)))
			at := time.Date(2026, 11, 22, 6, 40, random.IntN(100), 0, time.UTC)
			var content bytes.Buffer
			for i := range random.IntN(200) {
				line := "\tat " + strings.Repeat("y", random.IntN(3000)) + " x\n"
				if i == 0 || random.IntN(5) > 0 {
					at = at.Add(time.Duration(random.IntN(3)) * time.Second)
					line = fmt.Sprintf("%s %d x\n", at.Format(time.RFC3339), i)
				}
				content.WriteString(line)
				name := fmt.Sprintf("%s:%s:", listeners[node].Addr(), path)
				lines = append(lines, logLine{at.UnixNano(), node, file, name + line})
			}
			if err := os.WriteFile(filepath.Join(dirs[node], path[len("logs/"):]), content.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if cluster, err = servertest.Start(listeners, dirs); err != nil {
		t.Fatal(err)
	}
	return cluster, lines
}

// TestSortEqualsStableSort asks random clusters, and compares with a sort of all their lines.
func TestSortEqualsStableSort(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 3))
	for range 12 {
		cluster, lines := timedCluster(t, random)
		for order, compare := range map[string]func(a, b logLine) int{
			"time": func(a, b logLine) int {
				return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.node, b.node), cmp.Compare(a.file, b.file))
			},
			"node": func(a, b logLine) int { return cmp.Compare(a.node, b.node) },
		} {
			want := slices.SortedStableFunc(slices.Values(lines), compare)
			var stdout, stderr bytes.Buffer
			status := run([]string{"--sort=" + order, "-H", "--via=" + cluster.Nodes[len(cluster.Nodes)-1].Addr, "x", "logs/*"}, strings.NewReader(""), &stdout, &stderr, noEnv)
			got := slices.Collect(strings.Lines(stdout.String()))
			if status > 1 || !slices.EqualFunc(got, want, func(text string, line logLine) bool { return text == line.text }) {
				i := 0
				for i < min(len(got), len(want)) && got[i] == want[i].text {
					i++
				}
				t.Fatalf("--sort=%s: exit status %d, %s%d lines, want %d in the order of a stable sort; from line %d on %.300q", order, status, stderr.String(), len(got), len(want), i, got[i:min(i+2, len(got))])
			}
		}
		if err := cluster.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkSortByTime is what the order costs: 4 nodes with 8 MiB each, of which all lines are wanted, that
// alternate line by line.
func BenchmarkSortByTime(b *testing.B) {
	listeners, err := servertest.Listen(4)
	if err != nil {
		b.Fatal(err)
	}
	var dirs []string
	total := 0
	for node := range 4 {
		dirs = append(dirs, b.TempDir())
		var content bytes.Buffer
		at := time.Date(2026, 11, 22, 6, 40, 0, node, time.UTC)
		for i := 0; content.Len() < 8<<20; i++ {
			fmt.Fprintf(&content, "{\"time\":%q,\"level\":\"INFO\",\"event\":\"HEARTBEAT\",\"dir\":\"sent\",\"seq\":%d}\n", at.Add(time.Duration(i)*time.Millisecond).Format(time.RFC3339Nano), i)
		}
		total += content.Len()
		if err := os.WriteFile(filepath.Join(dirs[node], "log"), content.Bytes(), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	cluster, err := servertest.Start(listeners, dirs)
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	for _, order := range []string{"", "--sort=node", "--sort=time"} {
		args := []string{"--via=" + cluster.Nodes[0].Addr, "HEARTBEAT", "logs/log"}
		if order != "" {
			args = append(args, order)
		}
		b.Run(cmp.Or(order, "unsorted"), func(b *testing.B) {
			b.SetBytes(int64(total))
			b.ReportAllocs()
			for b.Loop() {
				if status := run(args, strings.NewReader(""), io.Discard, io.Discard, noEnv); status != 0 {
					b.Fatalf("exit status %d", status)
				}
			}
		})
	}
}

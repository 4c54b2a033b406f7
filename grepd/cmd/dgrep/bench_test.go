package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/server/servertest"
)

// BenchmarkThroughOneNode is the cost of the way from a node's disk to the output, over
// loopback: client and node share the process and its cores.
func BenchmarkThroughOneNode(b *testing.B) {
	const fileBytes = 64 << 20
	dir := b.TempDir()
	var text bytes.Buffer
	for i := 0; text.Len() < fileBytes; i++ {
		fmt.Fprintf(&text, `{"time":"2026-11-22T06:40:00.%09dZ","level":"INFO","event":"HEARTBEAT","node":"10.0.0.3:7117@1763793600000000000","dir":"sent"}`+"\n", i)
	}
	if err := os.WriteFile(filepath.Join(dir, "big"), text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	listeners, err := servertest.Listen(1)
	if err != nil {
		b.Fatal(err)
	}
	cluster, err := servertest.Start(listeners, []string{dir})
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	for _, query := range []string{"HEARTBEAT", "-H HEARTBEAT", "-n HEARTBEAT", "-c HEARTBEAT", "NOTHING"} {
		args := append(strings.Fields(query), "--via="+cluster.Nodes[0].Addr, "logs/big")
		b.Run(query, func(b *testing.B) {
			b.SetBytes(int64(text.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if status := run(args, strings.NewReader(""), io.Discard, io.Discard, noEnv); status > 1 {
					b.Fatalf("exit status %d", status)
				}
			}
		})
	}
}

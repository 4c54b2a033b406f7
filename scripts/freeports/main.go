// Command freeports says which of some addresses are taken, for TCP or for UDP. It lets
// the demonstration find out before it starts anything, on a machine with Go alone.
//
// Usage: freeports HOST:PORT...
//
// It exits 0 where all are free, and 2 after naming those that are not.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(addrs []string, complaints io.Writer) int {
	status := 0
	for _, addr := range addrs {
		if err := tryBoth(addr); err != nil {
			fmt.Fprintln(complaints, err)
			status = 2
		}
	}
	return status
}

// tryBoth listens on the address for a moment.
func tryBoth(addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	packets, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	return packets.Close()
}

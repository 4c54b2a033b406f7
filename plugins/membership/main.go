// Command membership is the plugin of grepd that keeps the live member list. grepd starts
// it (grepd --with-membership), hands it the UDP socket, and calls it over gRPC; see
// package pluginapi. It is the membership protocol's driver with the event log around it.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
)

func main() { os.Exit(run()) }

func run() int {
	if !pluginapi.StartedByHost() {
		fmt.Fprintln(os.Stderr, "membership: this is a plugin of grepd, which starts it: grepd --with-membership --gateway host:port")
		return 2
	}
	// Those who end the host end it alone: it leaves the group through this process, and
	// then tells it to end.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	conn, err := pluginapi.InheritedSocket()
	if err != nil {
		fmt.Fprintln(os.Stderr, "membership:", err)
		return 2
	}
	go pluginapi.AwaitHostEnd(func() { os.Exit(0) })
	s := &service{conn: conn}
	pluginapi.Serve(pluginapi.MembershipKind(s))
	s.close()
	return 0
}

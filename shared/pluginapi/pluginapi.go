// Package pluginapi is what grepd and its plugins agree on: how they recognise each
// other, which descriptors a plugin inherits, and what it can be asked to do.
//
// A plugin is a program that hashicorp/go-plugin starts as a subprocess and calls over
// gRPC. Its main adopts what it inherits, and serves one Kind:
//
//	conn, err := pluginapi.InheritedSocket()
//	go pluginapi.AwaitHostEnd(func() { os.Exit(0) })
//	pluginapi.Serve(pluginapi.MembershipKind(service))
//
// The host finds in the same Kind what to expect of the program, and gets from it a
// Membership whose methods are calls to the subprocess.
//
// Another kind of plugin is another Kind, with an interface and adapters of its own, as
// NotifyKind is; the host needs to know of it no more than the Kind says.
//
// # Order of calls
//
// A plugin starts idle: it has its socket and reads nothing from it. Start sets it to
// work, Freeze stops it and hands over its state, and Start, in the same process or in
// another one, goes on from that state. At most one process is at work at a time; that
// is the host's duty.
//
//	        Start             Freeze
//	idle ----------> working ----------> idle
//
// # Versions
//
// The API is versioned by go-plugin: each side says which versions it has, and the
// highest that both have is used. Within a version, messages only grow: unknown fields
// are ignored, absent ones are zero.
//
// # Concurrency
//
// The package's functions may be called from any goroutine; the methods of Membership
// say for themselves.
package pluginapi

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/aksinghdce/cluster-membership-service/shared/gogocodec"
)

// Handshake keeps people from starting a plugin by hand, and grepd from starting
// something that is none. It is no secret and protects nothing.
var Handshake = plugin.HandshakeConfig{
	MagicCookieKey:   "GREPD_PLUGIN",
	MagicCookieValue: "6f5c9a2be4ad",
}

// What a plugin inherits, beside standard output and error.
const (
	// SocketFD is the host's UDP socket, for kinds with Kind.Socket; else it is closed.
	SocketFD = 3
	// LivenessFD is the read end of a pipe that only the host holds the other end of, so
	// it ends when the host does, however that comes about.
	LivenessFD = 4
	// PresenceFD is there where the host has not taken over from another one yet: its other
	// end ends when host and plugin both have. Nobody reads from it or writes to it.
	PresenceFD = 5
)

// CallTimeout is how long the host waits for a Freeze, and for a Start where another process
// can go on. A plugin that takes longer is killed, and what it has not handed over is lost.
const CallTimeout = 800 * time.Millisecond

// Kind describes one kind of plugin to both sides.
type Kind struct {
	// Name is the name of its binary in the plugin directory.
	Name string
	// Versions has the adapter for each version of the API, from 1.
	Versions map[int]plugin.Plugin
	// Socket is whether it inherits the host's UDP socket.
	Socket bool
}

// PluginSets is the form in which go-plugin wants to know a Kind's versions.
func (k Kind) PluginSets() map[int]plugin.PluginSet {
	sets := make(map[int]plugin.PluginSet, len(k.Versions))
	for version, adapter := range k.Versions {
		sets[version] = plugin.PluginSet{k.Name: adapter}
	}
	return sets
}

// StartedByHost reports whether a host has started this process, and so whether there is
// anything to inherit.
func StartedByHost() bool {
	return os.Getenv(Handshake.MagicCookieKey) == Handshake.MagicCookieValue
}

// Serve answers the host's calls until the host says that it is over.
func Serve(kind Kind) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  Handshake,
		VersionedPlugins: kind.PluginSets(),
		GRPCServer:       newServer,
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr}),
	})
}

func newServer(options []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(options, gogocodec.ServerOption())...)
}

// DialOptions is what the host's connection to a plugin needs.
func DialOptions() []grpc.DialOption { return []grpc.DialOption{gogocodec.DialOption()} }

// InheritedSocket is the host's UDP socket. Call it once, early in main.
func InheritedSocket() (*net.UDPConn, error) {
	f := os.NewFile(SocketFD, "udp")
	if f == nil {
		return nil, fmt.Errorf("adopt descriptor %d: there is none", SocketFD)
	}
	defer f.Close() // FilePacketConn has made its own copy
	conn, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("adopt descriptor %d as a UDP socket: %w", SocketFD, err)
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("adopt descriptor %d: a %T, not a UDP socket", SocketFD, conn)
	}
	return udp, nil
}

// AwaitHostEnd blocks until the host has ended, and then calls end. A plugin without it
// would outlive a host that was killed, and keep the port. The plugin's socket, which such
// a host has not removed, is gone then.
func AwaitHostEnd(end func()) {
	// What the plugin itself may start has no business with these.
	syscall.CloseOnExec(LivenessFD)
	syscall.CloseOnExec(PresenceFD) // if it is not there, this is not ours, and is so already
	_, _ = io.Copy(io.Discard, os.NewFile(LivenessFD, "liveness"))
	if dir := os.Getenv(plugin.EnvUnixSocketDir); dir != "" {
		_ = os.RemoveAll(dir) // what cannot be removed the next host will
	}
	end()
}

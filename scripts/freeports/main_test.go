package main

import (
	"net"
	"strings"
	"testing"
)

func TestTakenAddressesAreNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()

	tcp, udp := listener.Addr().String(), packets.LocalAddr().String()
	var complaints strings.Builder
	if status := run([]string{tcp, "127.0.0.1:0", udp}, &complaints); status != 2 {
		t.Errorf("status %d, want 2", status)
	}
	got := strings.Split(strings.TrimSpace(complaints.String()), "\n")
	if len(got) != 2 || !strings.Contains(got[0], tcp) || !strings.Contains(got[1], udp) {
		t.Errorf("complaints are %q, want one about %s and one about %s", got, tcp, udp)
	}
}

func TestFreeAddressesAreNotNamed(t *testing.T) {
	var complaints strings.Builder
	if status := run([]string{"127.0.0.1:0"}, &complaints); status != 0 || complaints.Len() != 0 {
		t.Errorf("status %d and complaints %q, want 0 and none", status, complaints.String())
	}
}

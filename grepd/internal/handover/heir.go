package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/handoverpb"
)

// Heir is what a grepd has that was started to take another one's place.
type Heir struct {
	Listener *net.TCPListener
	Socket   *net.UDPConn // nil where the old one has none
	// Presence is for every child to inherit that may touch what the old grepd's children
	// do: see Config.HandOver. Close it once the plugins run.
	Presence *os.File
	// OldPID is the process that hands over.
	OldPID int
	// Since is when the first grepd of this line began, and Upgrades how many have taken
	// over in it, this one included.
	Since    time.Time
	Upgrades int
	// Mounts is where the mounts led then; none where the old grepd does not say.
	Mounts []handoverpb.Mount

	conversation *conversation
	stderr       *os.File
}

// Inherit adopts what another grepd hands over. It returns nil where none did. Call it
// once, early: before anything else is opened or started.
func Inherit() (_ *Heir, err error) {
	if os.Getenv(envHeir) == "" {
		return nil, nil
	}
	os.Unsetenv(envHeir) // it is not for those that this process starts
	h := new(Heir)
	defer func() {
		if err != nil {
			err = fmt.Errorf("take over from another grepd, which %s says to do: %w", envHeir, err)
			h.Refuse(err)
			h.Close()
		}
	}()
	var stat unix.Stat_t
	if err := unix.Fstat(conversationFD, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFSOCK {
		// Closing what is not ours would be worse.
		return nil, fmt.Errorf("descriptor %d is no socket; unset the variable if nobody hands over", conversationFD)
	}
	for fd := conversationFD; fd <= stderrFD; fd++ {
		syscall.CloseOnExec(fd)
	}
	if h.conversation, err = adopt(os.NewFile(conversationFD, "conversation")); err != nil {
		return nil, err
	}
	offer, err := h.awaitOffer()
	if err != nil {
		return nil, err
	}
	h.OldPID = int(offer.Pid)
	h.Since, h.Upgrades, h.Mounts = time.Unix(0, offer.SinceUnixNanos), int(offer.Upgrades)+1, offer.Mounts
	h.Presence = os.NewFile(presenceFD, "presence")
	h.stderr = os.NewFile(stderrFD, "stderr")
	if h.Listener, err = adoptListener(); err == nil && offer.Socket {
		h.Socket, err = adoptSocket()
	}
	return h, err
}

// awaitOffer waits for the old grepd to say who it is, and believes it if it is the parent.
func (h *Heir) awaitOffer() (*handoverpb.Offer, error) {
	m, err := h.conversation.receive(offerTimeout)
	if err != nil {
		return nil, err
	}
	offer := m.GetOffer()
	if offer == nil {
		return nil, errors.New("its first message is no offer")
	}
	if offer.Version != version {
		return nil, fmt.Errorf("it speaks version %d of the hand-over, and this program %d: restart grepd instead", offer.Version, version)
	}
	ticks, err := startTicks(os.Getppid())
	if err != nil {
		return nil, fmt.Errorf("find out about the parent: %w", err)
	}
	if int(offer.Pid) != os.Getppid() || offer.StartTicks != ticks {
		return nil, fmt.Errorf("process %d offers, and %d is the one that started this", offer.Pid, os.Getppid())
	}
	return offer, nil
}

func adoptListener() (*net.TCPListener, error) {
	f := os.NewFile(listenerFD, "listener")
	defer f.Close() // FileListener makes its own copy
	listener, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("adopt the listener: %w", err)
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		listener.Close()
		return nil, fmt.Errorf("adopt the listener: it is a %T", listener)
	}
	return tcp, nil
}

func adoptSocket() (*net.UDPConn, error) {
	f := os.NewFile(socketFD, "udp")
	defer f.Close() // FilePacketConn makes its own copy
	conn, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("adopt the UDP socket: %w", err)
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("adopt the UDP socket: it is a %T", conn)
	}
	return udp, nil
}

// Ready says that all is open and nothing at work, and waits for the state to go on from.
// The children are process groups that end with this process; the old one kills them where
// they do not. The error says that there is no state: this process must end then, without
// having set anything to work.
func (h *Heir) Ready(program string, children []int) ([]handoverpb.Plugin, error) {
	// What is written to standard error was for the old grepd until now, which says it to
	// whoever wanted the upgrade. From now on refusals and the log are the way.
	if err := unix.Dup2(int(h.stderr.Fd()), 2); err != nil {
		return nil, fmt.Errorf("take over the standard error: %w", err)
	}
	ready := &handoverpb.Ready{Version: program}
	for _, pid := range children {
		ready.Children = append(ready.Children, int64(pid))
	}
	if err := h.conversation.send(&handoverpb.Message{Step: &handoverpb.Message_Ready{Ready: ready}}, sendTimeout); err != nil {
		return nil, fmt.Errorf("say that this grepd is ready: %w", err)
	}
	m, err := h.conversation.receive(stateTimeout)
	if err != nil {
		return nil, fmt.Errorf("wait for the old grepd's state: %w", err)
	}
	if m.GetState() == nil {
		return nil, errors.New("wait for the old grepd's state: it says something else")
	}
	return m.GetState().Plugins, nil
}

// Started says that this process goes on; gap is how long no plugin was at work. That it
// cannot be said means that the old grepd has died, and changes nothing.
func (h *Heir) Started(gap time.Duration) {
	started := &handoverpb.Started{GapNanos: int64(gap)}
	_ = h.conversation.send(&handoverpb.Message{Step: &handoverpb.Message_Started{Started: started}}, sendTimeout)
	h.Close()
}

// Refuse says why this process does not take over. It must end then.
func (h *Heir) Refuse(reason error) {
	if h.conversation == nil {
		return
	}
	refusal := &handoverpb.Refusal{Reason: reason.Error()}
	_ = h.conversation.send(&handoverpb.Message{Step: &handoverpb.Message_Refusal{Refusal: refusal}}, sendTimeout)
}

// Close ends the conversation. The sockets are the caller's.
func (h *Heir) Close() {
	if h.conversation != nil {
		h.conversation.close()
	}
	for _, f := range []*os.File{h.Presence, h.stderr} {
		if f != nil {
			f.Close() // again is an error that means nothing
		}
	}
}

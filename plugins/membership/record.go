package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/udp"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
	"github.com/aksinghdce/cluster-membership-service/shared/version"
)

// Limits of a recording.
const (
	recordForMax   = 24 * time.Hour
	recordBytesMax = 1 << 30
	// pieceBytesMax bounds a message with a piece of it.
	pieceBytesMax = 256 << 10
	// recordEndTimeout is how long a Freeze waits until the end of a recording is handed out, which
	// takes as long as one message to the host. A host that is slower gets a file that breaks off.
	recordEndTimeout = 100 * time.Millisecond
)

func (s *service) Record(
	ctx context.Context, request *pluginpb.RecordRequest, stop <-chan struct{},
	reply func(*pluginpb.RecordReply) error,
) error {
	last := time.Duration(request.ForNanos)
	switch {
	case last <= 0 || last > recordForMax:
		return fmt.Errorf("record for %v: want more than 0 and at most %v", last, recordForMax)
	case request.BytesMax <= 0 || request.BytesMax > recordBytesMax:
		return fmt.Errorf("record %d bytes: want more than 0 and at most %d",
			request.BytesMax, recordBytesMax)
	}
	activation, err := s.current()
	if err != nil {
		return err
	}
	select {
	case activation.recording <- struct{}{}:
		defer func() { <-activation.recording }()
	default:
		return udp.ErrRecording
	}
	options := udp.RecordOptions{
		Program: program(), For: last, BytesMax: int(request.BytesMax), Stop: stop,
	}
	end, err := activation.driver.Record(ctx, options, func(piece []byte) error {
		for part := range slices.Chunk(piece, pieceBytesMax) {
			if err := reply(&pluginpb.RecordReply{Piece: part}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return reply(&pluginpb.RecordReply{End: &pluginpb.RecordEnd{
		Early: end.Reason.Early(), Why: end.Reason.String(), Steps: uint64(end.Steps),
	}})
}

// program says what this program was built from.
func program() string {
	return fmt.Sprintf("%s plugin %s (%s)", pluginapi.MembershipName, version.String(), runtime.Version())
}

// awaitRecording waits for a while until the end of a recording has been handed out.
func (s *activation) awaitRecording() {
	select {
	case s.recording <- struct{}{}:
	case <-time.After(recordEndTimeout):
	}
}

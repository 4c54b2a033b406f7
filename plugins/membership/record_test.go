package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/recording"
	"github.com/aksinghdce/cluster-membership-service/membership/udp"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// recordRequest is for as much as a test may take.
var recordRequest = &pluginpb.RecordRequest{ForNanos: int64(time.Minute), BytesMax: 1 << 20}

func TestRecordRefusesWhatCannotWork(t *testing.T) {
	n := newNode(t, "")
	none := func(*pluginpb.RecordReply) error { return nil }
	if err := n.Record(context.Background(), recordRequest, nil, none); !errors.Is(err, errIdle) {
		t.Errorf("Record while idle: %v, want errIdle", err)
	}
	n.start(t, nil)
	for want, request := range map[string]*pluginpb.RecordRequest{
		"record for 0s: want":    {BytesMax: 1},
		"record for 25h0m0s":     {ForNanos: int64(25 * time.Hour), BytesMax: 1},
		"record 0 bytes: want":   {ForNanos: 1},
		"record 1099511627776 b": {ForNanos: 1, BytesMax: 1 << 40},
	} {
		err := n.Record(context.Background(), request, nil, none)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// TestFreezeEndsARecordingInGoodOrder: when Freeze returns, its last piece has been handed out. A
// second one is refused meanwhile.
func TestFreezeEndsARecordingInGoodOrder(t *testing.T) {
	n := newNode(t, "")
	n.start(t, nil)
	eventually(t, "it is a member", func() bool { return n.phase(t) == "member" })
	var file bytes.Buffer
	var end *pluginpb.RecordEnd
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- n.Record(context.Background(), recordRequest, nil, func(r *pluginpb.RecordReply) error {
			if file.Len() == 0 {
				close(begun)
			}
			file.Write(r.Piece)
			end = r.End
			return nil
		})
	}()
	<-begun
	none := func(*pluginpb.RecordReply) error { return nil }
	err := n.Record(context.Background(), recordRequest, nil, none)
	if !errors.Is(err, udp.ErrRecording) {
		t.Errorf("a second recording: %v, want ErrRecording", err)
	}
	if _, err := n.Freeze(context.Background()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil || end == nil || !end.Early || !strings.Contains(end.Why, "replaced") {
			t.Errorf("the recording ended with %v, %v", end, err)
		}
	case <-time.After(recordEndTimeout):
		t.Fatal("the recording goes on after Freeze has returned")
	}
	result, err := recording.Replay(&file, io.Discard)
	if err != nil || result.Divergence != nil || uint64(result.End.Steps) != end.Steps {
		t.Errorf("%v, %+v, want %d steps", err, result, end.Steps)
	}
}

// TestFreezeDoesNotWaitForASlowReader of a recording.
func TestFreezeDoesNotWaitForASlowReader(t *testing.T) {
	n := newNode(t, "")
	n.start(t, nil)
	begun, release, ended := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = n.Record(context.Background(), recordRequest, nil, func(*pluginpb.RecordReply) error {
			begun <- struct{}{}
			<-release
			return errors.New("enough")
		})
	}()
	<-begun
	if _, err := n.Freeze(context.Background()); err != nil { // which would hang
		t.Error(err)
	}
	close(release)
	<-ended
}

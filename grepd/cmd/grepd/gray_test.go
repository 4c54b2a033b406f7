package main

import (
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

func TestMembersMarksWhoIsGray(t *testing.T) {
	reply := &greppb.MembersReply{Members: []greppb.Member{
		{Addr: "10.0.0.1:7117", State: "alive", Gray: true}, {Addr: "10.0.0.2:7117", State: "alive"},
	}}
	rows := membersToJSON(reply).Members
	for i, want := range []struct {
		state string
		gray  bool
	}{{"alive,gray", true}, {"alive", false}} {
		if got := markGray(reply.Members[i]); got != want.state {
			t.Errorf("row %d of the table says %q, want %q", i, got, want.state)
		}
		if rows[i].Gray != want.gray {
			t.Errorf("row %d in JSON says gray %t, want %t", i, rows[i].Gray, want.gray)
		}
	}
}

func TestStatusHasALineOfAGrayMemberOnly(t *testing.T) {
	var out strings.Builder
	gray := &grayJSON{Since: "2026-11-30T10:00:00Z", Answers: 17, Questions: 60}
	if err := printStatus(&out, &statusJSON{Gray: gray}); err != nil {
		t.Fatal(err)
	}
	const want = "since 2026-11-30T10:00:00Z; 17 of 60 questions answered lately, too few to judge others\n"
	if !strings.Contains(out.String(), "gray:") || !strings.HasSuffix(out.String(), want) {
		t.Errorf("the status is\n%s\nwant it to end in %q", out.String(), want)
	}
	out.Reset()
	if err := printStatus(&out, &statusJSON{}); err != nil || strings.Contains(out.String(), "gray") {
		t.Errorf("error %v, and the status of a member that is not gray is\n%s", err, out.String())
	}
}

package membership

import "testing"

// Whoever forges names finds none in the list, and so no place among the gray; and where all
// members are said to be gray, they are asked for help nevertheless.
func TestForgedGrayMembersTakeNothingAway(t *testing.T) {
	node := testMember(t, 10)
	say := func(id ID) {
		node.Step(node.now, id.Addr, &Message{Kind: Probe, Sender: id, Seq: 1, Gray: true})
		node.Ready()
	}
	for i := range 2 * grayOthersMax {
		say(ID{Addr: testAddr(100 + i), Incarnation: 1})
		say(ID{Addr: testAddr(3), Incarnation: uint64(2 + i)})
	}
	if got := node.GrayMembers(); len(got) > 0 {
		t.Errorf("gray are %v, none of them a member", got)
	}
	for i := 1; i < 10; i++ {
		say(ID{Addr: testAddr(i), Incarnation: 1})
	}
	if got := node.GrayMembers(); len(got) != 9 {
		t.Errorf("gray are %v, want all nine others", got)
	}
	if node.anyone() == nil {
		t.Error("nobody is left to be asked for help")
	}
}

// A gray node that joins afresh says that this is over: who reads the log would hold it to be
// gray for ever.
func TestJoiningAfreshEndsGrayness(t *testing.T) {
	node := testMember(t, 10)
	node.turnGray(true, share{1, 40}, "hears too little")
	node.Ready()
	node.joinAfresh("for a test")
	events := node.Ready().Events
	if len(events) < 2 || events[0].Kind != EventGray || events[0].Gray || events[1].Kind != EventRejoin {
		t.Errorf("events %v", events)
	}
}

package recorder

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

// A member that turns gray is a warning, with the counts behind it; one that is well again is not.
func TestGrayIsAWarningAndItsEndIsNot(t *testing.T) {
	dir := t.TempDir()
	log, err := eventlog.Open(eventlog.Config{Dir: dir, Name: eventlog.MembershipLog})
	if err != nil {
		t.Fatal(err)
	}
	self := membership.ID{Addr: netip.MustParseAddrPort("10.0.0.1:7117"), Incarnation: 1}
	r := New(log, nil)
	r.Event(self, membership.Event{
		Kind: membership.EventGray, Peer: self, Gray: true, Answers: 17, Questions: 60, Detail: "hears too little",
	})
	r.Event(self, membership.Event{Kind: membership.EventGray, Peer: self, Questions: 4, Detail: "hears well"})
	log.Close()
	content, err := os.ReadFile(filepath.Join(dir, eventlog.MembershipLog))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(content), "\n")
	const head = `"event":"GRAY","node":"10.0.0.1:7117@1","peer":"10.0.0.1:7117@1",`
	for i, want := range []string{
		`"level":"WARN",` + head + `"gray":true,"answers":17,"questions":60,"detail":"hears too little"}`,
		`"level":"INFO",` + head + `"gray":false,"answers":0,"questions":4,"detail":"hears well"}`,
	} {
		if !strings.HasSuffix(lines[i], want) {
			t.Errorf("line %d is\n%s\nwant it to end in\n%s", i, lines[i], want)
		}
	}
}

package membershiptest

import (
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

func newMember(id membership.ID, since time.Time) *membership.Member {
	return &membership.Member{Entry: membership.Entry{ID: id}, Since: since}
}

func form(s *Sim, rows []*membership.Member) {}

package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const flagMembers = "members"

var asksBounds = append(slices.Clip(asksJSON), &cli.UintFlag{
	Name: flagMembers, Usage: "`NUMBER` of members to compute for", DefaultText: "those alive",
})

// boundsJSON is what grepd bounds --json prints: the worst case, and the sum behind it. Times
// are in milliseconds.
type boundsJSON struct {
	Members     uint32 `json:"members"`
	MaxFailures uint32 `json:"max_failures"`

	Interval float64 `json:"interval_ms"` // between two heartbeats
	Doubt    float64 `json:"doubt_ms"`    // silence at which a member is doubted and probed
	Agreed   float64 `json:"agreed_ms"`   // ... at which it is declared failed if all its monitors agree
	Deadline float64 `json:"deadline_ms"` // ... at which any of them does
	Margin   float64 `json:"margin_ms"`   // base delay of a link, and lateness of a monitor
	Detect   float64 `json:"detect_ms"`   // = deadline + margin: a failure is in the first list

	Rank     float64 `json:"rank_ms"`  // later monitors wait for earlier ones
	Batch    float64 `json:"batch_ms"` // updates wait to travel together
	Hops     uint32  `json:"hops"`     // to the last member
	Hop      float64 `json:"hop_ms"`
	Takeover float64 `json:"takeover_ms"` // a dead member on the way is passed over
	Spread   float64 `json:"spread_ms"`   // = rank + batch + hops x hop + max_failures x takeover
	All      float64 `json:"all_ms"`      // = detect + spread: a change is in all lists

	SpreadWithin float64 `json:"spread_within_ms"` // what all may come to, as it was configured
}

func boundsToJSON(b *greppb.BoundsReply) boundsJSON {
	ms := func(nanos int64) float64 { return float64(nanos) / float64(time.Millisecond) }
	return boundsJSON{
		Members: b.Members, MaxFailures: b.MaxFailures,
		Interval: ms(b.IntervalNanos), Doubt: ms(b.DoubtNanos), Agreed: ms(b.AgreedNanos), Deadline: ms(b.DeadlineNanos),
		Margin: ms(b.MarginNanos), Detect: ms(b.DetectNanos),
		Rank: ms(b.RankNanos), Batch: ms(b.BatchNanos), Hops: b.Hops, Hop: ms(b.HopNanos),
		Takeover: ms(b.TakeoverNanos), Spread: ms(b.SpreadNanos), All: ms(b.AllNanos),
		SpreadWithin: ms(b.SpreadWithinNanos),
	}
}

func runBounds(c *cli.Context) error {
	if err := operands(c, 0); err != nil {
		return err
	}
	members := c.Uint(flagMembers)
	if c.IsSet(flagMembers) && (members == 0 || members > math.MaxInt32) {
		return fmt.Errorf("--%s %d: no group has so many", flagMembers, members)
	}
	reply, err := ask(c, askTimeout, func(ctx context.Context, client greppb.AdminClient) (*greppb.BoundsReply, error) {
		return client.Bounds(ctx, &greppb.BoundsRequest{Members: uint32(members)})
	})
	if err != nil {
		return err
	}
	if c.Bool(flagJSON) {
		return printJSON(c.App.Writer, boundsToJSON(reply))
	}
	_, err = fmt.Fprintln(c.App.Writer, reply.Text)
	return err
}

package request

import (
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// Syntax gives the matcher's name for a syntax of the wire.
func Syntax(s greppb.Syntax) match.Syntax { return match.Syntax(s) }

// The matcher knows nothing of the wire, so its syntaxes have numbers of their own. Where one differs
// from that of the wire an index is out of range, and this does not compile.
var (
	_ = [1]struct{}{}[match.Basic-match.Syntax(greppb.Syntax_BASIC)]
	_ = [1]struct{}{}[match.Extended-match.Syntax(greppb.Syntax_EXTENDED)]
	_ = [1]struct{}{}[match.Fixed-match.Syntax(greppb.Syntax_FIXED)]
	_ = [1]struct{}{}[match.Perl-match.Syntax(greppb.Syntax_PERL)]
)

package printer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// messageBytesMax bounds a message. The longest path is half as long.
const messageBytesMax = 8 << 10

// Message gives a text as it may be shown to a person beside the output, on one line and not too long. What other machines say
// and how files are named there may have been written by a stranger, and must not tell the terminal what to do, nor look like
// several messages: what cannot be seen is shown as in Go's strings, \n or \x1b.
func Message(text string) string {
	shown, more := text, ""
	if len(shown) > messageBytesMax {
		shown, more = strings.ToValidUTF8(shown[:messageBytesMax], ""), "..."
	}
	if strings.IndexFunc(shown, hidden) < 0 {
		return shown + more
	}
	var b strings.Builder
	for len(shown) > 0 {
		r, n := utf8.DecodeRuneInString(shown)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, shown[0])
		case hidden(r):
			quoted := fmt.Sprintf("%+q", r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteString(shown[:n])
		}
		shown = shown[n:]
	}
	return b.String() + more
}

// hidden tells whether a character is not seen as itself.
func hidden(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

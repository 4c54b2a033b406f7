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
	return escaped(shown) + more
}

// escaped shows what cannot be seen, in a name or a value that may be a stranger's.
func escaped(text string) string {
	if strings.IndexFunc(text, hidden) < 0 {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case hidden(r):
			quoted := fmt.Sprintf("%+q", r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}

// hidden tells whether a character is not seen as itself.
func hidden(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

// appendVisible appends a part of a line as it may be shown on a terminal, as "cat -v" does: ^[ for an
// escape, ^J for a newline within a line of -z, M-^[ for a control character beyond ASCII. What else is
// UTF-8 stays as it is, and so do tabs.
func appendVisible(b, text []byte) []byte {
	for len(text) > 0 {
		r, n := rune(text[0]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(text)
		}
		switch {
		case r == utf8.RuneError && n == 1:
			b = appendMeta(b, text[0])
		case r >= utf8.RuneSelf && unicode.IsControl(r):
			b = appendMeta(b, byte(r))
		case r != '\t' && unicode.IsControl(r):
			b = appendControl(b, byte(r))
		default:
			b = append(b, text[:n]...)
		}
		text = text[n:]
	}
	return b
}

// appendMeta appends a byte beyond ASCII.
func appendMeta(b []byte, c byte) []byte {
	b = append(b, "M-"...)
	if c &= 0x7f; c < ' ' || c == 0x7f {
		return appendControl(b, c)
	}
	return append(b, c)
}

// appendControl appends a control character of ASCII: ^@ to ^_, or ^?.
func appendControl(b []byte, c byte) []byte { return append(b, '^', c^0x40) }

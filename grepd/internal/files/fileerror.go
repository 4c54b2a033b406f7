package files

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"unicode"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// FileError says that a path could not be searched, or not to its end, or it is a warning. Its
// message is in grep's words, without the path. Programs go by its reason, people by its message.
type FileError = greppb.FileError

// reasoned is an error of the search's own, with the reason that a FileError gives for it. Errors
// of the system carry theirs already, see ReasonOf.
type reasoned struct {
	error
	reason greppb.FileError_Reason
}

// WithReason gives an error the reason that NewError is to give for it.
func WithReason(reason greppb.FileError_Reason, err error) error { return &reasoned{err, reason} }

func (r *reasoned) Unwrap() error { return r.error }

// NewError words an error of a path as grep does, and gives its reason.
func NewError(shown string, err error) FileError {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	switch reason := ReasonOf(err); reason {
	case greppb.FileError_NOT_FOUND, greppb.FileError_PERMISSION:
		return greppb.NewFileError(shown, reason)
	case greppb.FileError_OUTSIDE_MOUNTS:
		return FileError{Path: shown, Reason: reason, Message: "leads outside its mount"}
	default:
		return FileError{Path: shown, Reason: reason, Message: capitalised(err.Error())}
	}
}

// ReasonOf gives the reason of an error; UNKNOWN for one that nobody gave a reason. ENOTDIR is "not
// found" too: a path that leads through a file names nothing.
func ReasonOf(err error) greppb.FileError_Reason {
	var own *reasoned
	switch {
	case errors.As(err, &own):
		return own.reason
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return greppb.FileError_NOT_FOUND
	case errors.Is(err, fs.ErrPermission):
		return greppb.FileError_PERMISSION
	case errors.Is(err, errEscapes()):
		return greppb.FileError_OUTSIDE_MOUNTS
	}
	return greppb.FileError_UNKNOWN
}

// errEscapes is the error of an os.Root for a path that leads out of it. Package os does not export
// it, so the first call asks for such a path.
var errEscapes = sync.OnceValue(func() error {
	never := errors.New("no root can be opened here")
	root, err := os.OpenRoot(os.TempDir())
	if err != nil {
		return never
	}
	defer root.Close()
	var pathErr *fs.PathError
	if _, err = root.Lstat(".."); !errors.As(err, &pathErr) {
		return never
	}
	return pathErr.Err
})

func capitalised(s string) string {
	for _, r := range s {
		return string(unicode.ToUpper(r)) + s[len(string(r)):]
	}
	return s
}

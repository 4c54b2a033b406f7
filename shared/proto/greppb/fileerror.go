package greppb

// Words is the message of an error of that reason, where it is always the same; else "". They are
// grep's.
func (r FileError_Reason) Words() string {
	switch r {
	case FileError_NOT_FOUND:
		return "No such file or directory"
	case FileError_PERMISSION:
		return "Permission denied"
	case FileError_IS_DIRECTORY:
		return "Is a directory"
	case FileError_NOT_DIRECTORY:
		return "Not a directory"
	case FileError_NOT_REGULAR:
		return "not a regular file"
	}
	return ""
}

// NewFileError makes an error of a reason that has words.
func NewFileError(path string, reason FileError_Reason) FileError {
	return FileError{Path: path, Reason: reason, Message: reason.Words(), Missing: reason == FileError_NOT_FOUND}
}

// Error is the path and what is wrong with it.
func (m FileError) Error() string { return m.Path + ": " + m.Message }

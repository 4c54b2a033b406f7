package greppb

// What is said of files in the same words everywhere. They are grep's.
var fileErrorWords = map[FileError_Reason]string{
	FileError_NOT_FOUND:     "No such file or directory",
	FileError_PERMISSION:    "Permission denied",
	FileError_IS_DIRECTORY:  "Is a directory",
	FileError_NOT_DIRECTORY: "Not a directory",
	FileError_NOT_REGULAR:   "not a regular file",
}

// Words is the message of an error of that reason, where it is always the same; else "".
func (r FileError_Reason) Words() string { return fileErrorWords[r] }

// NewFileError makes an error of a reason that has words.
func NewFileError(path string, reason FileError_Reason) FileError {
	return FileError{Path: path, Reason: reason, Message: reason.Words(), Missing: reason == FileError_NOT_FOUND}
}

// Error is the path and what is wrong with it.
func (m FileError) Error() string { return m.Path + ": " + m.Message }

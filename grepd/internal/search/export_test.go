package search

// SetBlockBytes lets tests use blocks so small that lines cross them.
func SetBlockBytes(o *Options, n int64) { o.blockBytes = n }

package printer

import "github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"

// numberedMax bounds the files with numbers that a target may have begun and not ended.
const numberedMax = 10_000

// openFiles are the files that the targets have begun and not ended, as a printer keeps them: of each
// target the one that it began last, and those that have numbers, since their lines alternate.
type openFiles[F any] struct {
	last     []*F
	numbered []map[uint32]*F
}

func newOpenFiles[F any](targets int) openFiles[F] {
	return openFiles[F]{make([]*F, targets), make([]map[uint32]*F, targets)}
}

// grow makes room for more targets.
func (o *openFiles[F]) grow(targets int) {
	for len(o.last) < targets {
		o.last, o.numbered = append(o.last, nil), append(o.numbered, nil)
	}
}

// begin adds a target's file.
func (o *openFiles[F]) begin(target int, begin *greppb.FileBegin, file *F) {
	o.last[target] = file
	if begin.File == 0 || len(o.numbered[target]) == numberedMax {
		return // lines of a file that is not here are malformed
	}
	if o.numbered[target] == nil {
		o.numbered[target] = make(map[uint32]*F)
	}
	o.numbered[target][begin.File] = file
}

// file gives a target's file by its number, and nil if there is none.
func (o *openFiles[F]) file(target int, number uint32) *F {
	if number == 0 {
		return o.last[target]
	}
	return o.numbered[target][number]
}

// end gives a target's file, and forgets its number.
func (o *openFiles[F]) end(target int, end *greppb.FileEnd) *F {
	file := o.file(target, end.File)
	delete(o.numbered[target], end.File)
	return file
}

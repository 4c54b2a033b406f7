package search

import (
	"cmp"
	"context"
	"errors"
	"os"
	"runtime"
	"sync"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
)

// blocksPerWorker is how many blocks each worker may be ahead of the sink.
const blocksPerWorker = 4

// bufferKeptMax bounds the buffers that are kept for later blocks: those that a long line has
// enlarged are not.
const bufferKeptMax = 1 << 20

// runsKeptMax bounds the runs whose memory is kept.
const runsKeptMax = 16

// Run searches the files that paths name and hands the results to sink. What is wrong with a
// path goes to sink.Error and does not end the search; the error that Run returns is the
// sink's, or the context's, or says that the options are not valid.
func Run(ctx context.Context, m *files.Mounts, paths []string, o Options, sink Sink) (Stats, error) {
	e, err := newEmitter(ctx, &o, sink)
	if err != nil || o.selectsNothing() {
		return Stats{}, err
	}
	err = e.run(ctx, func(p *pipeline) { p.open(m, paths) })
	return e.stats, err
}

// run searches the files that open gives to a pipeline.
func (e *emitter) run(ctx context.Context, open func(*pipeline)) error {
	p := startPipeline(ctx, open, e.o)
	err := p.drain(e)
	p.stop()
	e.stats.Marks = p.marks
	if errors.Is(err, errStop) {
		err = nil
	}
	return err
}

// Check says what is wrong with the options, and gives those that were left out their defaults.
func (o *Options) Check() error {
	switch {
	case o.Matcher == nil:
		return errors.New("search: Options.Matcher is missing")
	case o.Before < 0 || o.After < 0:
		return errors.New("search: context may not be negative")
	case o.Report > Quiet:
		return errors.New("search: unknown " + o.Report.String())
	case len(o.Columns) > 0 && (o.Report == Parts || o.context()):
		return errors.New("search: columns are of whole lines, without context")
	}
	o.ExpandBytesMax = cmp.Or(o.ExpandBytesMax, files.ExpandBytesMaxDefault)
	o.blockBytes = cmp.Or(o.blockBytes, BlockBytes)
	if o.Progress == nil {
		o.Progress = &files.Progress{}
	}
	return nil
}

// selectsNothing reports whether no file needs to be looked at.
func (o *Options) selectsNothing() bool { return o.MaxCount == 0 && o.Report != FilesWithoutMatch }

// pipeline reads and searches blocks ahead of the sink. One goroutine opens files and cuts them to
// blocks, several search blocks, and drain takes the results in the order of the blocks.
type pipeline struct {
	ctx    context.Context
	cancel context.CancelFunc
	o      *Options
	blocks []*block
	free   chan *block // as many as there may be in flight
	todo   chan *block
	order  chan item
	wg     sync.WaitGroup
	// expander belongs to the goroutine that opens files.
	expander *files.Expander
	marks    []FileMark
	buffers  buffers
}

// item is the next thing to report: a block, or a path that cannot be searched.
type item struct {
	block *block
	fail  files.FileError
	// opened says that the path could be opened, so that it counts as a file.
	opened bool
}

func startPipeline(ctx context.Context, open func(*pipeline), o *Options) *pipeline {
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	window := workers * blocksPerWorker
	p := &pipeline{o: o, free: make(chan *block, window), todo: make(chan *block, window), order: make(chan item, window)}
	p.ctx, p.cancel = context.WithCancel(ctx)
	for range window {
		b := &block{done: make(chan struct{}, 1), room: room{long: o.LongLines}}
		p.blocks = append(p.blocks, b)
		p.free <- b
	}
	p.wg.Go(func() {
		defer close(p.order)
		defer close(p.todo)
		p.expander = files.NewExpander(p.ctx, o.Progress, o.ExpandBytesMax)
		defer p.expander.Close()
		open(p)
	})
	for range workers {
		p.wg.Go(p.work)
	}
	return p
}

// stop ends all goroutines and closes the files of blocks that were not taken.
func (p *pipeline) stop() {
	p.cancel()
	p.wg.Wait()
	for it := range p.order {
		if it.block != nil {
			it.block.file.release()
		}
	}
	for _, b := range p.blocks {
		b.room.giveBack()
	}
	p.buffers.spare()
}

// open goes through the paths.
func (p *pipeline) open(m *files.Mounts, paths []string) {
	// An error is the end of the search, of which drain knows.
	_ = m.Walk(p.ctx, paths, p.o.Selection, p.o.Progress, files.Visitor{
		File:       p.cut,
		Fail:       func(e files.FileError) error { return p.send(item{fail: e}) },
		Unreadable: func(e files.FileError) error { return p.send(item{fail: e, opened: true}) },
	})
}

func (p *pipeline) send(it item) error {
	select {
	case p.order <- it:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// cut gives the blocks of a file to the workers, the last of which closes it.
func (p *pipeline) cut(f *os.File, path string, size int64) error {
	if len(p.marks) < marksMax {
		if m := files.Mark(f); m != 0 {
			p.marks = append(p.marks, FileMark{path, m})
		}
	}
	shared := &file{path: path, f: f, size: size, progress: p.o.Progress}
	if c := files.CompressionOf(f, path); c != files.Uncompressed {
		return p.cutCompressed(shared, c)
	}
	return p.cutBlocks(shared)
}

func (p *pipeline) cutBlocks(shared *file) error {
	shared.users.Store(1)
	defer shared.release()
	plan := p.plan(shared)
	for i := plan.from; ; i++ {
		b, err := p.take(shared, i)
		if err != nil {
			return err
		}
		b.first, b.last, b.filled, b.damage = i == plan.from, i >= plan.last, false, nil
		b.use, b.times = plan.use(i, p.o.blockBytes, shared.size), plan.times
		if last, err := p.give(b); last || err != nil {
			return err
		}
	}
}

// take gives an unused block for a part of the file.
func (p *pipeline) take(shared *file, index int64) (*block, error) {
	select {
	case b := <-p.free:
		shared.users.Add(1)
		b.file, b.index = shared, index
		return b, nil
	case <-p.ctx.Done():
		return nil, p.ctx.Err()
	}
}

// give has a block searched and reported, and reports whether no more of its file is wanted.
func (p *pipeline) give(b *block) (last bool, err error) {
	shared, last := b.file, b.last // the block is not ours afterwards
	// Neither send waits: both channels have room for every block there is.
	p.todo <- b
	if err := p.send(item{block: b}); err != nil {
		shared.release()
		return true, err
	}
	return last || shared.finished.Load(), nil
}

// work reads and searches blocks until there are no more.
func (p *pipeline) work() {
	w, c := newWorker(p.ctx, p.o), NewCutter(p.o, false)
	for b := range p.todo {
		if b.err = p.ctx.Err(); b.err == nil && b.use != nothing && !b.file.finished.Load() {
			if !b.filled {
				b.room.text = p.buffers.take()
				b.read(c, p.o.blockBytes)
			}
			w.search(b)
			b.err = p.ctx.Err()
			if !p.o.handsOutData(b) {
				p.drop(b)
			}
		}
		b.done <- struct{}{}
	}
}

// handsOutData reports whether lines of b.data may be needed when b is reported.
func (o *Options) handsOutData(b *block) bool {
	return b.out.lent || o.copiedLate(b) || o.listsLines() && (o.context() || o.MaxCount >= 0) || o.ranged() && b.use == searched
}

// drop gives the text of a block back.
func (p *pipeline) drop(b *block) {
	p.buffers.give(b.room.text)
	b.room.text, b.data = nil, nil
}

// drain reports everything in order.
func (p *pipeline) drain(e *emitter) error {
	for {
		select {
		case it, ok := <-p.order:
			if !ok {
				return p.ctx.Err()
			}
			if err := p.report(e, it); err != nil {
				return err
			}
		case <-p.ctx.Done():
			return p.ctx.Err()
		}
	}
}

func (p *pipeline) report(e *emitter, it item) error {
	switch {
	case it.opened:
		return e.unreadable(it.fail)
	case it.block == nil:
		return e.fail(it.fail)
	}
	select {
	case <-it.block.done:
		defer p.recycle(it.block)
		return p.add(e, it.block)
	case <-p.ctx.Done():
		it.block.file.release() // a worker may still have the block
		return p.ctx.Err()
	}
}

// add reports a block that was searched.
func (p *pipeline) add(e *emitter, b *block) error {
	if b.first {
		if err := e.begin(b.file.path, b.file.size); err != nil {
			return err
		}
	}
	if e.ended { // the rest of a file of which enough is known
		return nil
	}
	err := b.err
	if err == nil {
		err = e.add(b, false)
	}
	if errors.Is(err, errContextTooLong) {
		if err = e.fail(files.NewError(b.file.path, err)); err == nil {
			err = e.end()
		}
	}
	if err == nil && b.damage != nil && !e.ended && p.ctx.Err() == nil {
		err = e.fail(files.NewError(b.file.path, b.damage))
	}
	if err == nil && (b.last || b.damage != nil) {
		err = e.end()
	}
	if e.ended {
		b.file.finished.Store(true)
	}
	return err
}

// recycle makes a block that was reported ready for its next use.
func (p *pipeline) recycle(b *block) {
	b.file.release()
	b.file = nil
	p.drop(b)
	if b.out.reset(); cap(b.out.chunk.Data) > bufferKeptMax {
		b.out = lineBuffer{}
	}
	b.room.giveBack() // only now, since what was found may be a copy of the line
	if cap(b.runs) > runsKeptMax {
		b.runs = nil
	}
	b.times = nil
	p.free <- b
}

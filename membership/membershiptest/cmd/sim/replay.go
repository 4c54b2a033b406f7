package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/aksinghdce/cluster-membership-service/membership/recording"
)

const replayFlag = "replay"

// addReplay adds -replay to a set of flags.
func (f *flags) addReplay(set *flag.FlagSet) {
	usage := "run the core over what grepd record has written to `FILE`, and compare"
	set.Func(replayFlag, usage, func(path string) error {
		if path == "" {
			return errors.New("want a file")
		}
		f.replay = path
		return nil
	})
}

// checkReplay refuses what means nothing with -replay: a recording has everything in it.
func (f *flags) checkReplay(set *flag.FlagSet) (err error) {
	set.Visit(func(given *flag.Flag) {
		if f.replay != "" && given.Name != replayFlag && err == nil {
			err = fmt.Errorf("-%s means nothing with -%s (see -h)", given.Name, replayFlag)
		}
	})
	return err
}

// runReplay returns the exit status.
func runReplay(path string, stdout, stderr io.Writer) int {
	file, err := os.Open(path)
	if err != nil {
		fmt.Fprintf(stderr, "sim: %v\n", err)
		return exitUsage
	}
	defer file.Close()
	out := bufio.NewWriter(stdout)
	result, err := recording.Replay(file, out)
	if err = errors.Join(err, out.Flush()); err != nil {
		fmt.Fprintf(stderr, "sim: %s: %v\n", path, err)
	}
	switch {
	case result.Divergence != nil:
		fmt.Fprintf(stderr, "sim: %s: steps that are not as recorded: %d; the first one:\n%v\n",
			path, result.Diverging, result.Divergence)
		return exitBroken
	case err != nil:
		return exitUsage
	}
	fmt.Fprintf(stdout, "%d steps in %v, all as recorded\n", result.End.Steps, result.Lasts)
	return exitOK
}

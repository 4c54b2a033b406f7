package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/handoverpb"
)

// realMounts finds out where mounts lead, of which each is name=dir.
func realMounts(pairs []string) ([]handoverpb.Mount, error) {
	var reals []handoverpb.Mount
	for _, pair := range pairs {
		name, dir, _ := strings.Cut(pair, "=")
		path, err := filepath.Abs(dir)
		if err == nil {
			path, err = filepath.EvalSymlinks(path)
		}
		if err != nil {
			return nil, fmt.Errorf("mount %q: %w", pair, err)
		}
		reals = append(reals, handoverpb.Mount{Name: name, Real: path})
	}
	return reals, nil
}

// checkMounts refuses mounts that lead elsewhere than they did for the daemon whose place is taken. One
// whose directory was made anew at the same path is no such mount.
func checkMounts(now, before []handoverpb.Mount) error {
	led := make(map[string]string)
	for _, m := range before {
		led[m.Name] = m.Real
	}
	for _, m := range now {
		if real, known := led[m.Name]; known && real != m.Real {
			return fmt.Errorf("mount %q led to %s and leads to %s now, through a symbolic link that was not there when grepd began: start grepd anew if that is meant",
				m.Name, real, m.Real)
		}
	}
	return nil
}

package files

import (
	"encoding/binary"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"
)

// networkTypes are file systems that several machines can have mounted, as statfs(2) numbers them.
// Package unix has no names for the last three.
var networkTypes = map[int64]bool{
	unix.NFS_SUPER_MAGIC: true, unix.SMB_SUPER_MAGIC: true, unix.CIFS_SUPER_MAGIC: true, unix.SMB2_SUPER_MAGIC: true,
	unix.CEPH_SUPER_MAGIC: true, unix.FUSE_SUPER_MAGIC: true, unix.V9FS_MAGIC: true, unix.AFS_SUPER_MAGIC: true,
	unix.OCFS2_SUPER_MAGIC: true, 0x0bd00bd0 /* Lustre */ : true, 0x01161970 /* GFS2 */ : true, 0x47504653 /* GPFS */ : true,
}

// markHeadBytes is how much of a file on the network its mark is made of. A file that is shorter
// has none: it could still get another head.
const markHeadBytes = 256

// bootID names this run of this machine's kernel, which containers share; empty where that is not
// known.
var bootID = sync.OnceValue(func() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
})

// Mark gives a number that no other file of the cluster has, copies of this one included; 0 where
// that cannot be done. On a disk of this machine it is made of the kernel's boot, the device and
// the inode; on a network file system, where a device's number means nothing to others, of the
// inode and the file's head.
func Mark(f *os.File) uint64 {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	var stat unix.Stat_t
	var fs unix.Statfs_t
	failed := true
	err = conn.Control(func(fd uintptr) {
		failed = unix.Fstat(int(fd), &stat) != nil || unix.Fstatfs(int(fd), &fs) != nil
	})
	if err != nil || failed {
		return 0
	}
	sum := xxhash.New()
	inode := binary.LittleEndian.AppendUint64(nil, stat.Ino)
	if networkTypes[int64(fs.Type)] {
		head := make([]byte, markHeadBytes)
		if _, err := io.ReadFull(io.NewSectionReader(f, 0, markHeadBytes), head); err != nil {
			return 0
		}
		sum.WriteString("network")
		sum.Write(inode)
		sum.Write(head)
		return sum.Sum64()
	}
	if bootID() == "" {
		return 0
	}
	sum.WriteString("local" + bootID())
	sum.Write(binary.LittleEndian.AppendUint64(inode, uint64(stat.Dev)))
	return sum.Sum64()
}

"""On which file system a folder is, and which mount points are empty just now. Linux's /proc."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_NETWORK = frozenset(
    (
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre",
        "beegfs", "ncpfs", "coda", "ocfs2", "gfs2", "orangefs", "virtiofs", "vboxsf", "prl_fs",
        "drvfs",
        "fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.davfs", "davfs", "fuse.glusterfs",
        "fuse.vmhgfs-fuse", "fuse.gvfsd-fuse", "fuse.smbnetfs", "fuse.juicefs", "fuse.goofys",
        "fuse.gcsfuse", "fuse.mergerfs", "fuse.unionfs", "fuse.grpcfuse", "fakeowner", "osxfs",
    )
)  # fmt: skip
"""Where a change made by another machine, or beneath the mount, wakes no notification: see the
limitations in `inotify(7)`. Shared folders of virtual machines are of these."""
_STABLE_INODES = frozenset(
    ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "reiserfs", "tmpfs")
)
"""Where a file keeps its inode number over a remount. FAT and most of FUSE make them up anew."""
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class FileSystem:
    """What a folder is mounted from."""

    kind: str
    """As the kernel names it (``ext4``, ``nfs4``); empty where it cannot be told."""
    mount_point: str

    @property
    def is_network(self) -> bool:
        """Whether notifications would miss changes there, so that it must be polled."""
        return self.kind in _NETWORK

    @property
    def stable_inodes(self) -> bool:
        """Whether another inode number means another file."""
        return self.kind in _STABLE_INODES


def file_system_of(folder: Path) -> FileSystem:
    """The file system that `folder` is on, by the longest mount point above it."""
    real = os.path.realpath(folder)
    best = FileSystem("", "/")
    for point, kind in _mounted():
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best.mount_point):
            best = FileSystem(kind, point)
    return best


def unmounted_points() -> frozenset[str]:
    """The mount points that /etc/fstab names and where nothing is mounted now."""
    known = {point for point, _ in _mounted()}
    return frozenset(point for point in _fstab() if point not in known)


def _mounted() -> list[tuple[str, str]]:
    """Mount points and kinds, later mounts last: they hide the earlier ones."""
    found = []
    for line in _lines("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if len(fields) > 4 and kinds[0]:
            found.append((_plain(fields[4]), kinds[0]))
    return found


@cache
def _fstab() -> tuple[str, ...]:
    rows = [line.split() for line in _lines("/etc/fstab") if not line.lstrip().startswith("#")]
    return tuple(_plain(row[1]) for row in rows if len(row) > 2 and row[1].startswith("/"))


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []


def _plain(field: str) -> str:
    """`field` with the octal escapes undone by which spaces and the like are written."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), field)

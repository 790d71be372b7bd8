"""What a scan of a full checkpoint of 7 GB costs: SD 1.x in fp32 with its EMA twin.

    python benchmarks/scan_large.py [GB] [RUNS]

The file is a sparse one, of the layout of `torch.save`: a zip of stored members with zip64
directory, one storage a tensor, 1,131 tensors and 686 EMA twins. The whole process, start of Python
included, may take at most a second.
"""

from __future__ import annotations

import struct
import sys
import tempfile
from pathlib import Path

from _common import Ran, claim, report, run

TENSORS, TWINS = 1131, 686
BOUND = 1.0
_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_EXTRA = struct.Struct("<2H3Q")
_SATURATED = 0xFFFFFFFF
SCAN = """
import sys
from pathlib import Path
from modelhub.formats.scan import scan_file
report = scan_file(Path(sys.argv[1]))
assert report.verdict == "safe" and report.pickles == 1, report
"""


def text(value: str) -> bytes:
    """BINUNICODE of a pickle."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def tree(numel: int) -> bytes:
    """The pickle of all tensors, each in a storage of `numel` elements."""
    out = [b"\x80\x02}", text("state_dict"), b"}("]
    for key in range(TENSORS + TWINS):
        prefix = "model.diffusion_model" if key < TENSORS else "model_ema"
        out += [
            text(f"{prefix}.blocks.{key}.transformer_blocks.0.attn1.to_q.weight"),
            b"ctorch._utils\n_rebuild_tensor_v2\n((",
            text("storage") + b"ctorch\nFloatStorage\n" + text(str(key)) + text("cpu"),
            b"J" + struct.pack("<i", numel) + b"tQK\0J" + struct.pack("<i", numel),
            b"\x85K\1\x85\x89ccollections\nOrderedDict\n)RtR",
        ]
    return b"".join([*out, b"us."])


class SparseZip:
    """A zip archive of stored members, whose data may be holes of the file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._directory: list[bytes] = []

    def add(self, name: str, data: bytes, size: int) -> None:
        """A member of `size` bytes, which begin with `data`; the checksum is of no use to a scan.

        Sizes are in the directory alone (flag bit 3), as torch's writer has it.
        """
        import zlib

        at, raw = self._file.tell(), name.encode()
        crc = zlib.crc32(data) if len(data) == size else 0
        padding = -(at + _LOCAL.size + len(raw) + 4) % 64
        extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
        self._file.write(
            _LOCAL.pack(b"PK\3\4", 0, 8, 0, 0, 0, 0, 0, 0, len(raw), len(extra)) + raw + extra
        )
        self._file.write(data)
        self._file.seek(size - len(data), 1)
        more = _EXTRA.pack(1, 24, size, size, at)
        fields = (b"PK\1\2", 0, 0, 8, 0, 0, 0, crc, _SATURATED, _SATURATED)
        entry = _ENTRY.pack(*fields, len(raw), len(more), 0, 0, 0, 0, _SATURATED)
        self._directory.append(entry + raw + more)

    def close(self) -> None:
        """Write the directory and its two ends."""
        start, directory = self._file.tell(), b"".join(self._directory)
        count, at = len(self._directory), start + len(directory)
        end = struct.pack(
            "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), start
        )
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
        last = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, _SATURATED, _SATURATED, 0)
        self._file.write(directory + end + locator + last)
        self._file.close()


def write_checkpoint(path: Path, size: int) -> None:
    """A checkpoint of about `size` bytes that takes next to none on the disk."""
    numel = size // (TENSORS + TWINS) // 4
    archive, pickled = SparseZip(path), tree(numel)
    archive.add("archive/data.pkl", pickled, len(pickled))
    for key in range(TENSORS + TWINS):
        archive.add(f"archive/data/{key}", b"", numel * 4)
    archive.add("archive/version", b"3\n", 2)
    archive.close()


def main() -> int:
    size = int(float(sys.argv[1]) * 1e9) if len(sys.argv) > 1 else 7_000_000_000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory(prefix="modelhub-benchmark-") as folder:
        path = Path(folder) / "full-ema.ckpt"
        write_checkpoint(path, size)
        ran: list[Ran] = [run([sys.executable, "-c", SCAN, str(path)]) for _ in range(runs)]
        size = path.stat().st_size
    report(f"scan of {size / 1e9:.1f} GB", {"modelhub": ran}, "modelhub", size)
    return 0 if claim("seconds", max(one.seconds for one in ran), BOUND) else 1


if __name__ == "__main__":
    sys.exit(main())

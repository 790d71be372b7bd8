"""Files that are damaged, or made to harm their reader, with what has to be said of each."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20

TORCH_TREE = (
    b"(dVw\nctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI12\n"
    b"tQI0\n(I3\nI4\nt(I4\nI1\ntI00\nccollections\nOrderedDict\n)RtRs."
)
"""The pickle of ``{"w": tensor of 3 x 4}``, whose data are the member ``data/0``."""


@dataclass(frozen=True)
class Hostile:
    """A file that no reader may take for a model.

    :param write: puts the file there.
    :param reason: a part of the sentence that the user is told.
    :param offset: whether that sentence has to name a place in the file.
    """

    name: str
    write: Callable[[Path], object]
    reason: str
    offset: bool = True


def safetensors(header: Mapping[str, object] | bytes, data: int = 0) -> bytes:
    """A safetensors file with this header, and so many bytes of zeroes behind it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


def tensor(start: int, end: int, *shape: int, dtype: str = "U8") -> dict[str, object]:
    """The description of one tensor in a safetensors header."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip archive of these members, as they are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def torch_zip(more: Mapping[str, bytes] | None = None) -> bytes:
    """A checkpoint as `torch.save` writes it, with one tensor and `more` members."""
    members = {"m/data.pkl": TORCH_TREE, "m/data/0": bytes(48), "m/version": b"3\n"}
    return zipped(members | dict(more or {}))


def crowd(tensors: int) -> Iterator[bytes]:
    """A safetensors file of so many tensors of one byte, piece by piece."""
    each = b'"%7d":{"dtype":"U8","shape":[1],"data_offsets":[%7d,%7d]}'
    yield struct.pack("<Q", tensors * (len(each % (0, 0, 0)) + 1) + 1)
    for number in range(tensors):
        yield (b"," if number else b"{") + each % (number, number, number + 1)
    yield b"}"
    yield bytes(tensors)


def _written(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _write_crowd(path: Path) -> None:
    with path.open("wb") as file:
        file.writelines(crowd(1_000_000))


def _write_bomb(path: Path) -> None:
    """A pickle of 300 MiB, deflated to 300 KiB."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("m/data.pkl", "w") as member,
    ):
        for _ in range(300):
            member.write(b"]" * MIB)


def _write_opcodes(path: Path) -> None:
    """A pickle of 100 million opcodes: ``None``, taken from the stack again, over and over."""
    with path.open("wb") as file:
        file.write(b"\x80\x02")
        for _ in range(100):
            file.write(b"N0" * 500_000)
        file.write(b"N.")


def _sparse(head: bytes, size: int) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(head)
            file.truncate(size)

    return write


def _gguf(tensors: int, pairs: int, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, pairs) + rest


def _truncated() -> Iterator[Hostile]:
    """One good file of each format, cut off at each of its boundaries."""
    whole = safetensors({"a": tensor(0, 64, 64), "b": tensor(64, 96, 32)}, 96)
    places = {"header": 40, "behind header": -96, "tensor": -66, "last byte": -1}
    for where, length in places.items():
        yield Hostile(f"cut {where}.safetensors", _written(whole[:length]), "the file is cut off")
    for length in (3, 8):
        reason = f"only {length} bytes: too short to tell what it was"
        yield Hostile(f"{length} bytes.safetensors", _written(whole[:length]), reason, offset=False)
    archive = torch_zip()
    for where, length in {"pickle": 90, "directory": -60, "end": -1}.items():
        reason = "the archive ends before its directory"
        yield Hostile(f"cut {where}.ckpt", _written(archive[:length]), reason)
    text = struct.pack("<Q", 3) + b"key" + struct.pack("<I", 8) + struct.pack("<Q", 5) + b"value"
    places = {"the version": 6, "the counts": 20, "a key": 26, "the value of 'key'": 40}
    for where, length in places.items():
        content = _written(_gguf(0, 1, text)[:length])
        yield Hostile(f"cut {length}.gguf", content, f"the file ends within {where}")


def _headers() -> Iterator[Hostile]:
    """Headers of safetensors that are too much, or contradict themselves."""
    over = 100_000_001
    yield Hostile(
        "length 2^63.safetensors",
        _written(struct.pack("<Q", 1 << 63) + b'{"a":' + bytes(64)),
        "9,223,372,036,854,775,808 bytes",
    )
    yield Hostile(
        "length one more.safetensors",
        _sparse(struct.pack("<Q", over) + b'{"a":{"dtype":"U8"', over + 4096),
        "100,000,001 bytes, more than the 100,000,000 allowed",
    )
    yield Hostile(
        "length allowed.safetensors",
        _sparse(struct.pack("<Q", over - 1) + b'{"a":{"dtype":"U8"', over + 4096),
        "no JSON",
    )
    yield Hostile("a million tensors.safetensors", _write_crowd, "more than 250,000 tensors")
    deep = b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    yield Hostile("deep.safetensors", _written(safetensors(deep)), "nested too deep")
    twice = b'{"a":%s,"a":%s}' % ((json.dumps(tensor(0, 8, 8)).encode(),) * 2)
    yield Hostile(
        "twice.safetensors", _written(safetensors(twice, 8)), "'a' is in the header twice"
    )
    for name, shape in {"2^64": [1 << 32, 1 << 32], "2^70": [1 << 35, 1 << 35]}.items():
        header = {"a": tensor(0, 0, *shape)}
        yield Hostile(f"shape {name}.safetensors", _written(safetensors(header)), "overflows")
    hole = {"a": tensor(0, 8, 8), "b": tensor(16, 24, 8)}
    yield Hostile("hole.safetensors", _written(safetensors(hole, 24)), "leaves a hole")
    overlap = {"a": tensor(0, 8, 8), "b": tensor(4, 12, 8)}
    yield Hostile("overlap.safetensors", _written(safetensors(overlap, 12)), "overlaps")


def _archives() -> Iterator[Hostile]:
    """Torch files and pickles that would fill the memory, or write elsewhere."""
    yield Hostile("bomb.ckpt", _write_bomb, "would inflate to 314,572,800 bytes")
    climbing = torch_zip({"../../evil": b"x"})
    yield Hostile("climbing.ckpt", _written(climbing), "a member named")
    yield Hostile("opcodes.ckpt", _write_opcodes, "opcodes")


def _counts() -> Iterator[Hostile]:
    yield Hostile("tensors.gguf", _written(_gguf(1 << 62, 0, bytes(64))), "tensors, more than")
    yield Hostile("pairs.gguf", _written(_gguf(0, 1 << 63, bytes(64))), "pairs, more than")
    text = struct.pack("<Q", (1 << 64) - 1)
    yield Hostile("key.gguf", _written(_gguf(0, 1, text + bytes(64))), "ends within a key")


def hostile_files() -> list[Hostile]:
    """All of them."""
    page = b"<!DOCTYPE html><html><head><title>Log in</title></head></html>"
    return [
        Hostile("empty.safetensors", _written(b""), "empty", offset=False),
        Hostile("empty.gguf", _written(b""), "empty", offset=False),
        Hostile("page.safetensors", _written(page), "web page", offset=False),
        Hostile("zeroes.ckpt", _sparse(b"", 4 * MIB), "zeroes only", offset=False),
        *_truncated(),
        *_headers(),
        *_archives(),
        *_counts(),
    ]

"""The format of a file by its first bytes: what it is, whatever it is called.

Signatures are those of the formats' own descriptions: PKWARE's APPNOTE (zip), ``gguf.md`` of ggml,
``torch/serialization.py`` (``MAGIC_NUMBER`` of the legacy form, ``data.pkl`` of the zip form),
``onnx.proto`` (the fields of ``ModelProto``), the HDF5 file format specification, NumPy's NEP 1,
POSIX ``ustar``, RFC 1952.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Final

from modelhub.formats.safetensors import is_safetensors
from modelhub.formats.tensors import FileFormat

HEAD_SIZE: Final = 64 << 10
"""How many bytes of a file :func:`sniff` is best given."""

TORCH_MAGIC: Final = 0x1950A86A20F9469CFC6C
"""What the first pickle of a legacy torch file holds (``torch.serialization.MAGIC_NUMBER``)."""

_FIXED: Final[tuple[tuple[bytes, FileFormat], ...]] = (
    (b"GGUF", FileFormat.GGUF),
    (b"\x89HDF\r\n\x1a\n", FileFormat.HDF5),
    (b"\x93NUMPY", FileFormat.NUMPY),
    (b"7z\xbc\xaf\x27\x1c", FileFormat.SEVEN_ZIP),
    (b"Rar!\x1a\x07", FileFormat.RAR),
    (b"\x1f\x8b\x08", FileFormat.GZIP),
    (b"\x89PNG\r\n\x1a\n", FileFormat.IMAGE),
    (b"\xff\xd8\xff", FileFormat.IMAGE),
    (b"GIF87a", FileFormat.IMAGE),
    (b"GIF89a", FileFormat.IMAGE),
    (b"II*\x00", FileFormat.IMAGE),
    (b"MM\x00*", FileFormat.IMAGE),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", FileFormat.IMAGE),
)

_NAMED: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"BZh", "a bzip2 archive"),
    (b"lmgg", "a GGML model, the format before GGUF"),
    (b"fmgg", "a GGMF model, the format before GGUF"),
    (b"tjgg", "a GGJT model, the format before GGUF"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"%PDF-", "a PDF document"),
    (b"!<arch>\n", "an archive of object files or a package"),
    (b"SQLite format 3\x00", "a database"),
    (b"aria2", "a control file of a download"),
)

_PROTOCOLS = frozenset(range(6))
_TEXT_PICKLE = re.compile(rb"(?:\(?c[A-Za-z_][\w.]*\n[A-Za-z_]\w*\n|\([dl]p?\d*\n|\(dp\d+\n)")
_FIRST_OPCODES = frozenset(bytes([code]) for code in b"()]}NFGIJKLMSTUVX\x88\x89\x8a\x8c\x8d")
"""Of pickles that begin with a mark, an empty container, or a plain value."""
_HTML = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|title|script|meta|\?xml[^>]*>\s*<(?:!d|html))", re.I
)
_HTML_COMMENT = re.compile(rb"(?:<!--.*?-->\s*)+", re.S)
_JSON = re.compile(rb'[\[{]\s*(?:["\]}\[{]|-?\d|true|false|null)')
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_TORCH_TAR_MEMBERS = frozenset({b"sys_info", b"pickle", b"tensors", b"storages"})


def sniff(head: bytes, size: int) -> FileFormat:
    """The format of a file of `size` bytes that begins with `head`.

    :param head: up to :data:`HEAD_SIZE` bytes; fewer make the answer less sure.
    """
    if not size:
        return FileFormat.EMPTY
    if is_safetensors(head):
        return FileFormat.SAFETENSORS
    for magic, found in _FIXED:
        if head.startswith(magic):
            return found
    for recognise in (_zip, _pickle, _tar, _image, _hdf5, _onnx, _old_pickle, _text):
        if (special := recognise(head, size)) is not None:
            return special
    return FileFormat.UNKNOWN


def oddities(head: bytes, size: int, found: FileFormat) -> tuple[str, ...]:
    """What is to be said of a file whose format is `found` and holds no tensors that we read."""
    if found is FileFormat.EMPTY:
        return ("the file is empty",)
    if found is FileFormat.HTML:
        return ("a web page was saved in place of a file: a login or error page, most likely",)
    if found is FileFormat.TEXT and head.startswith(b"version https://git-lfs.github.com/spec/"):
        return ("a Git LFS pointer: the file itself was never fetched (`git lfs pull` does)",)
    if found is not FileFormat.UNKNOWN:
        return ()
    for magic, words in _NAMED:
        if head.startswith(magic):
            return (f"this is {words}",)
    if not head.strip(b"\0"):
        return ("it begins with zeroes only: space that a download reserved and never filled",)
    if size <= 8:
        return (f"only {size} bytes: too short to tell what it was",)
    return ()


def _zip(head: bytes, size: int) -> FileFormat | None:
    if head.startswith(b"PK\x05\x06"):
        return FileFormat.ZIP
    if not head.startswith(b"PK\x03\x04") or len(head) < 30:
        return None
    first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if first.endswith(b"/data.pkl") or b"/data.pkl" in head:
        return FileFormat.TORCH_ZIP
    return FileFormat.NUMPY if first.endswith(b".npy") else FileFormat.ZIP


def _pickle(head: bytes, size: int) -> FileFormat | None:
    if len(head) >= 4 and head[0] == 0x80 and head[1] in _PROTOCOLS:
        start = 2
        if head[2] == 0x95:
            start = 11
        number = TORCH_MAGIC.to_bytes(10, "little")
        # LONG1 with ten bytes: the number that torch writes first, in a pickle of its own.
        if head[start : start + 12] == b"\x8a\x0a" + number:
            return FileFormat.TORCH_LEGACY
        return FileFormat.PICKLE
    if _TEXT_PICKLE.match(head) or head.startswith((b"}q\x00", b"]q\x00", b"}q\x01", b"]q\x01")):
        return FileFormat.PICKLE
    return None


def _tar(head: bytes, size: int) -> FileFormat | None:
    block = head[:512]
    if len(block) < 512 or not block[0]:
        return None
    stored = block[148:156].strip(b" \0")
    if not re.fullmatch(rb"[0-7]{1,7}", stored):
        return None
    if int(stored, 8) != sum(block) - sum(block[148:156]) + 8 * 0x20:
        return None
    member = block[:100].rstrip(b"\0").removeprefix(b"./").rstrip(b"/")
    return FileFormat.TORCH_LEGACY if member in _TORCH_TAR_MEMBERS else FileFormat.TAR


def _image(head: bytes, size: int) -> FileFormat | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FileFormat.IMAGE
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis", b"heic", b"heix", b"mif1"):
        return FileFormat.IMAGE
    if head[:2] == b"BM" and len(head) >= 26 and int.from_bytes(head[2:6], "little") == size:
        return FileFormat.IMAGE
    return None


def _hdf5(head: bytes, size: int) -> FileFormat | None:
    # The signature may stand behind a user block of 512 bytes, or of 1024, 2048, ...
    start = 512
    while start + 8 <= len(head):
        if head[start : start + 8] == b"\x89HDF\r\n\x1a\n":
            return FileFormat.HDF5
        start *= 2
    return None


_ONNX_TEXTS = (0x12, 0x1A, 0x22, 0x32)
"""producer_name, producer_version, domain and doc_string of onnx.proto's ModelProto."""
_ONNX_GRAPH, _ONNX_OPSET, _ONNX_MODEL_VERSION = 0x3A, 0x42, 0x28


def _onnx(head: bytes, size: int) -> FileFormat | None:
    """ModelProto has no signature: its fields are followed until the graph or the opset comes."""
    if head[:1] != b"\x08" or len(head) < 4 or not 1 <= head[1] <= 0x40:
        return None
    position = 2
    while position < len(head):
        tag = head[position]
        value, position = _varint(head, position + 1)
        if value is None or (tag != _ONNX_MODEL_VERSION and position + value > size):
            return None
        if tag in (_ONNX_GRAPH, _ONNX_OPSET):
            return FileFormat.ONNX if value else None
        if tag in _ONNX_TEXTS:
            position += value
        elif tag != _ONNX_MODEL_VERSION:
            return None
    return None


def _varint(data: bytes, position: int) -> tuple[int | None, int]:
    value = 0
    for index in range(10):
        byte = data[position : position + 1]
        if not byte:
            return None, position
        position += 1
        value |= (byte[0] & 0x7F) << (7 * index)
        if byte[0] < 0x80:
            return value, position
    return None, position


_NAMING = frozenset({"GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"})
_FILLING = frozenset({"SETITEM", "SETITEMS", "APPEND", "APPENDS", "ADDITEMS"})
_MANY_OPCODES = 50


def _old_pickle(head: bytes, size: int) -> FileFormat | None:
    """A pickle without a protocol's mark may begin with anything that puts a value on its stack.

    It is one if its opcodes make sense up to its end, and name something or fill something. The
    opcodes are only listed (:mod:`pickletools`); nothing is executed.
    """
    if head[:1] not in _FIRST_OPCODES:
        return None
    seen: set[str] = set()
    count = 0
    try:
        for name in _opcodes(head):
            seen.add(name)
            count += 1
    except ValueError:
        # Cut off where the head ends: a long row of opcodes is proof enough.
        if len(head) >= size or count < _MANY_OPCODES:
            return None
    return FileFormat.PICKLE if seen & (_NAMING | _FILLING) else None


def _opcodes(head: bytes) -> Iterator[str]:
    """The names of the opcodes of a pickle, up to its end.

    As :func:`pickletools.genops`, which also decodes strings, and warns of what they escape.

    :raises ValueError: the next byte is none, or its argument is cut off or malformed.
    """
    from pickletools import opcodes, read_stringnl

    known = {one.code: one for one in opcodes}
    stream = io.BytesIO(head)
    while code := stream.read(1):
        opcode = known.get(code.decode("latin-1"))
        if opcode is None:
            raise ValueError("no opcode")
        if opcode.name == "STRING":
            read_stringnl(stream, decode=False)
        elif opcode.arg is not None:
            opcode.arg.reader(stream)
        yield opcode.name
        if opcode.name == "STOP":
            return
    raise ValueError("no end")


def _text(head: bytes, size: int) -> FileFormat | None:
    body = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if comment := _HTML_COMMENT.match(body):
        body = body[comment.end() :]
    if _HTML.match(body):
        return FileFormat.HTML
    if not body or _CONTROL.search(head):
        return None
    if not _is_utf8(head):
        return None
    return FileFormat.JSON if _JSON.match(body) else FileFormat.TEXT


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # A letter may be cut in two where the head ends.
        return len(head) - error.start < 4 and error.reason == "unexpected end of data"
    return True

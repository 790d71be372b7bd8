"""Tricks of archives, of compressed streams, and of files that are two things at once."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping

from tests.hostile_files import safetensors, tensor, zipped
from tests.pickle_aims import SUSPICIOUS, Aim, Trick
from tests.pickle_opcodes import EMPTY_DICT, pickled, tensor_tree

_LOCAL, _ENTRY = b"PK\3\4", b"PK\1\2"


def _evil(aim: Aim) -> bytes:
    return tensor_tree(aim.system, b"0")


def _torch(tree: bytes, more: Mapping[str, bytes] | None = None) -> bytes:
    members = {"m/data.pkl": tree, "m/data/0": bytes(48), "m/version": b"3\n"}
    return zipped(members | dict(more or {}))


def _packed(members: Mapping[str, bytes], method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return out.getvalue()


def _patched(archive: bytes, header: bytes, at: int, value: bytes) -> bytes:
    """The archive with bytes changed in its first header of that kind."""
    start = archive.index(header) + at
    return archive[:start] + value + archive[start + len(value) :]


def _both(archive: bytes, local_at: int, value: bytes) -> bytes:
    """The same, in the first local header and in its entry of the directory."""
    return _patched(_patched(archive, _LOCAL, local_at, value), _ENTRY, local_at + 2, value)


def _tar(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _array(content: bytes, descr: str = "'|O'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + content


def _twice(aim: Aim) -> bytes:
    """Two members of one name: readers differ in which of them they take."""
    honest = zipped({"m/data.pkl": tensor_tree(), "n/data.pkl": _evil(aim), "m/data/0": bytes(48)})
    return honest.replace(b"n/data.pkl", b"m/data.pkl")


def _renamed(aim: Aim) -> bytes:
    return _patched(_torch(_evil(aim)), _ENTRY, 46, b"m/data.txt")


def _nested(data: bytes, times: int) -> bytes:
    for _ in range(times):
        data = zipped({"inner.bin": data})
    return data


def _in_safetensors(aim: Aim) -> bytes:
    archive = _torch(_evil(aim))
    return safetensors({"a": tensor(0, len(archive), len(archive))}) + archive


def _wrong_checksum(aim: Aim) -> bytes:
    return _both(_torch(_evil(aim)), 14, b"\1\2\3\4")


def _method_unknown(aim: Aim) -> bytes:
    return _both(_torch(_evil(aim)), 8, b"\x63\0")


def _stored_as_deflated(aim: Aim) -> bytes:
    return _patched(_torch(_evil(aim)), _ENTRY, 10, b"\x08\0")


def _hidden_behind(aim: Aim) -> bytes:
    """A member that no directory lists, before the directory."""
    hidden = zipped({"m/hidden.pkl": _evil(aim)})
    archive = _torch(tensor_tree())
    directory = archive.index(_ENTRY)
    extra = hidden[: hidden.index(_ENTRY)]
    end = archive[directory:]
    start = struct.pack("<L", directory + len(extra))
    return archive[:directory] + extra + end[:-6] + start + end[-2:]


def _split_gzip(aim: Aim) -> bytes:
    data = _evil(aim)
    return gzip.compress(data[:9], mtime=0) + gzip.compress(data[9:], mtime=0)


def _bomb(aim: Aim) -> bytes:
    return _packed({"m/data.pkl": pickled(aim.system) + bytes(80 << 20)}, zipfile.ZIP_DEFLATED)


def _appended_to_picture(aim: Aim) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + bytes(100) + _torch(_evil(aim))


ARCHIVE_TRICKS = [
    Trick("torch zip", lambda aim: _torch(_evil(aim)), suffix=".ckpt"),
    Trick("torch zip named safetensors", lambda aim: _torch(_evil(aim)), suffix=".safetensors"),
    Trick("torch zip deflated", lambda aim: _packed(
        {"m/data.pkl": _evil(aim)}, zipfile.ZIP_DEFLATED), suffix=".pt"),
    Trick("torch zip by bzip2", lambda aim: _packed(
        {"m/data.pkl": _evil(aim)}, zipfile.ZIP_BZIP2), suffix=".pt"),
    Trick("torch zip by lzma", lambda aim: _packed(
        {"m/data.pkl": _evil(aim)}, zipfile.ZIP_LZMA), SUSPICIOUS, ".pt"),
    Trick("second tree in another folder", lambda aim: _torch(
        tensor_tree(), {"n/data.pkl": _evil(aim)}), suffix=".ckpt"),
    Trick("member named as a text", lambda aim: _torch(
        tensor_tree(), {"m/readme.txt": _evil(aim)}), suffix=".ckpt"),
    Trick("member in text protocol", lambda aim: _torch(
        tensor_tree(), {"m/notes": f"cos\nsystem\n(V{aim.command}\ntR.".encode()}), suffix=".ckpt"),
    Trick("storage that is a pickle", lambda aim: zipped(
        {"m/data.pkl": tensor_tree(), "m/data/0": _evil(aim) + bytes(99)}), suffix=".ckpt"),
    Trick("constants of torchscript", lambda aim: _torch(
        tensor_tree(), {"m/constants.pkl": _evil(aim), "m/code/__torch__.py": b"x"}),
        suffix=".pt"),
    Trick("wrong checksum", _wrong_checksum, suffix=".ckpt"),
    Trick("encryption bit in both headers", lambda aim: _both(_torch(_evil(aim)), 6, b"\1\0"),
          suffix=".ckpt"),
    Trick("encryption bit in the directory", lambda aim: _patched(
        _torch(_evil(aim)), _ENTRY, 8, b"\1\0"), suffix=".ckpt"),
    Trick("strong encryption bit", lambda aim: _both(_torch(_evil(aim)), 6, b"\x40\0"),
          suffix=".ckpt"),
    Trick("patched data bit", lambda aim: _both(_torch(_evil(aim)), 6, b"\x20\0"),
          suffix=".ckpt"),
    Trick("another name in the directory", _renamed, suffix=".ckpt"),
    Trick("one name twice", _twice, suffix=".ckpt"),
    Trick("size of zero in the directory", lambda aim: _patched(
        _torch(_evil(aim)), _ENTRY, 20, bytes(8)), suffix=".ckpt"),
    Trick("stored, but deflated in the directory", _stored_as_deflated, suffix=".ckpt"),
    Trick("unknown method", _method_unknown, suffix=".ckpt"),
    Trick("climbing name", lambda aim: zipped({"../../evil.pkl": _evil(aim)}), suffix=".zip"),
    Trick("hidden from the directory", _hidden_behind, suffix=".ckpt"),
    Trick("bytes before the archive", lambda aim: b"\0" * 7 + _torch(_evil(aim)), suffix=".ckpt"),
    Trick("bytes behind the archive", lambda aim: _torch(_evil(aim)) + b"xyz", suffix=".ckpt"),
    Trick("cut off before the directory", lambda aim: _torch(_evil(aim)).partition(_ENTRY)[0],
          suffix=".ckpt"),
    Trick("empty archive behind", lambda aim: _torch(_evil(aim)) + zipped({}), suffix=".ckpt"),
    Trick("appended to a pickle", lambda aim: pickled(EMPTY_DICT) + _torch(_evil(aim)),
          suffix=".ckpt"),
    Trick("appended to a picture", _appended_to_picture, suffix=".png"),
    Trick("within a safetensors tensor", _in_safetensors, suffix=".safetensors"),
    Trick("pickle before an honest archive", lambda aim: pickled(aim.system)
          + _torch(tensor_tree()), suffix=".pt", runs=True),
    Trick("archive in an archive", lambda aim: _nested(_torch(_evil(aim)), 2), suffix=".zip"),
    Trick("archives without end", lambda aim: _nested(_torch(_evil(aim)), 12), SUSPICIOUS, ".zip"),
    Trick("bomb", _bomb, suffix=".ckpt"),
    Trick("gzip", lambda aim: gzip.compress(_evil(aim), mtime=0), suffix=".pt"),
    Trick("gzip in two streams", _split_gzip, suffix=".pkl"),
    Trick("gzip cut off", lambda aim: gzip.compress(_evil(aim), mtime=0)[:-9], suffix=".pkl"),
    Trick("zlib", lambda aim: zlib.compress(_evil(aim)), suffix=".joblib"),
    Trick("bzip2", lambda aim: bz2.compress(_evil(aim)), suffix=".bin"),
    Trick("xz", lambda aim: lzma.compress(_evil(aim)), suffix=".bin"),
    Trick("gzip of a tar of a zip", lambda aim: gzip.compress(
        _tar({"m.zip": _torch(_evil(aim))}), mtime=0), suffix=".pt"),
    Trick("tar", lambda aim: _tar({"x": b"hello", "model.bin": _evil(aim)}), suffix=".pt"),
    Trick("tar of torch", lambda aim: _tar({
        "sys_info": pickled(EMPTY_DICT), "pickle": pickled(aim.system),
        "storages": pickled(b"K\0") + pickled(b"]"), "tensors": pickled(b"K\0")}), suffix=".pt"),
    Trick("tar of torch, in its storages", lambda aim: _tar({
        "sys_info": pickled(EMPTY_DICT), "pickle": pickled(EMPTY_DICT),
        "storages": pickled(b"K\0") + pickled(aim.system), "tensors": pickled(b"K\0")}),
        suffix=".pt"),
    Trick("array of objects", lambda aim: _array(_evil(aim)), suffix=".npy"),
    Trick("array of objects by another word", lambda aim: _array(_evil(aim), "'object'"),
          suffix=".npy"),
    Trick("arrays of objects", lambda aim: zipped({"a.npy": _array(_evil(aim))}), suffix=".npz"),
    Trick("seven zip", lambda aim: b"7z\xbc\xaf\x27\x1c\0\4" + bytes(40) + _evil(aim),
          SUSPICIOUS, ".ckpt"),
    Trick("rar", lambda aim: b"Rar!\x1a\7\1\0" + bytes(40) + _evil(aim), SUSPICIOUS, ".pt"),
    Trick("zstd", lambda aim: b"\x28\xb5\x2f\xfd" + bytes(40) + _evil(aim), SUSPICIOUS, ".pt"),
]  # fmt: skip

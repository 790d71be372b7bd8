"""Names that a server gave, made safe as one path component on every platform.

The rules are the union of what Linux, macOS and Windows refuse or misread, so that a library can
be moved to an exFAT stick or a Windows share. Windows' part is from Microsoft's "Naming Files,
Paths, and Namespaces": the characters ``<>:"/\\|?*``, control characters, the device names (also
with an extension, and with superscript digits), and no trailing dots or spaces.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path

from modelhub.errors import NameTaken

MAX_BYTES = 255
"""The longest component of ext4, XFS, Btrfs, APFS and (in UTF-16 units) NTFS."""

MODEL_FILE_BYTES = 215
"""The longest name given to a model file: leaves room under :data:`MAX_BYTES` for what stands
beside it (``STEM.metadata.json``, ``.NAME.part.journal``, ``.NAME.XXXXXXXX.tmp``)."""

EMPTY = "unnamed"
"""Stands for a name of which nothing was left."""

_SHORTEST_LIMIT = 64
_EXTENSION = re.compile(r"\.[A-Za-z0-9][A-Za-z0-9_]{0,15}$")
_FORBIDDEN = frozenset('<>:"/\\|?*')
_DEVICE = re.compile(
    r"(?:CON|PRN|AUX|NUL|CLOCK\$|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9\u00b9\u00b2\u00b3]) *(?:\.|$)",
    re.IGNORECASE,
)
_MODEL_EXTENSIONS = frozenset(
    (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".gguf", ".onnx", ".zip")
)
_RUNNABLE_NAMES = """
    exe com scr pif bat cmd ps1 psm1 vbs vbe js jse wsf wsh hta msi msp cpl jar lnk url reg sh bash
    zsh csh fish command py pyw pyc rb pl php app desktop run dll so dylib html htm xhtml svg
"""
_RUNNABLE = frozenset(f".{name}" for name in _RUNNABLE_NAMES.split())
_INVISIBLE = frozenset(
    (
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xE0000, 0xE1000),
    )
)
"""What Unicode lists as ignorable without giving it the category Cf (`DerivedCoreProperties.txt`,
Default_Ignorable_Code_Point), and the blank Braille cell."""


def clean_name(name: str, *, max_bytes: int = MAX_BYTES) -> str:
    """One safe path component that reads as `name` does.

    Path separators and characters that a platform forbids become ``_``; line breaks and every
    kind of space become one space; control characters, bidirectional marks and everything else
    that has no width go. Emoji, CJK and all other visible text stay, in Normal Form C. A device
    name gets a ``_`` in front. The extension is never cut: the stem is. Text that pretends to be
    a model's extension in front of a runnable one loses its dot: ``a.safetensors.exe`` becomes
    ``a_safetensors.exe``.

    The result is never empty, and cleaning it again changes nothing.

    :param max_bytes: the longest result in UTF-8, at least 64.
    :raises ValueError: `max_bytes` is too small to hold an extension and a stem.
    """
    if max_bytes < _SHORTEST_LIMIT:
        raise ValueError(f"max_bytes must be at least {_SHORTEST_LIMIT}, not {max_bytes}")
    text = _visible(unicodedata.normalize("NFC", name))
    text = unicodedata.normalize("NFC", text).rstrip(" .")
    stem, extension = split_name(text)
    stem = stem.lstrip(" .-").rstrip(" .")
    if extension.lower() in _RUNNABLE:
        stem = _undotted(stem)
    if not stem:
        stem = EMPTY
    if _DEVICE.match(stem + extension):
        stem = f"_{stem}"
    return _cut(stem, max_bytes - len(extension)) + extension


def split_name(name: str) -> tuple[str, str]:
    """Stem and extension, the dot with the extension; `.` and 1 to 16 ASCII letters or digits.

    Unlike `os.path.splitext`, a name that is all extension has an empty stem.
    """
    found = _EXTENSION.search(name)
    if found is None:
        return name, ""
    return name[: found.start()], found.group()


def free_variant(
    folder: Path,
    name: str,
    taken: Collection[str] = (),
    *,
    version_id: int | None = None,
    max_bytes: int = MODEL_FILE_BYTES,
) -> str:
    """`name`, or its first variant that neither `folder` nor `taken` holds.

    Names that differ only in case or Unicode form count as the same, as they are on macOS and
    Windows disks. Variants are ``STEM (VERSION).ext`` where a version's id is known, then
    ``STEM (2).ext``, ``STEM (3).ext``. The answer holds only until someone else takes the name:
    commit without replacing, and ask again.

    :param name: a clean name.
    :param taken: names that are spoken for and not on disk yet.
    :raises NameTaken: a thousand variants are in use.
    """
    used = {_same(other) for other in taken}
    used.update(_same(other) for other in _entries(folder))
    stem, extension = split_name(name)
    for suffix in _suffixes(version_id):
        short = _cut(stem, max_bytes - len(extension) - len(suffix))
        variant = f"{short}{suffix}{extension}" if suffix else name
        if _same(variant) not in used:
            return variant
    raise NameTaken(
        f"{folder / name} and a thousand variants of that name are taken",
        hint="choose another name or folder",
    )


def _suffixes(version_id: int | None) -> Iterable[str]:
    yield ""
    if version_id is not None:
        yield f" ({version_id})"
    for number in range(2, 1001):
        yield f" ({number})"


def _entries(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _same(name: str) -> str:
    """What a case-insensitive, form-insensitive file system compares."""
    folded = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFC", folded)


def _visible(text: str) -> str:
    """`text` with one safe, visible character for each of its visible ones."""
    kept = "".join(_replacement(character) for character in text)
    return re.sub(r" +", " ", kept)


def _replacement(character: str) -> str:
    code = ord(character)
    if character in _FORBIDDEN:
        return "_"
    if character in "\t\n\v\f\r\x85":
        return " "
    category = unicodedata.category(character)
    if category in ("Cc", "Cf") or code in _INVISIBLE:
        return ""
    if category in ("Zs", "Zl", "Zp"):
        return " "
    is_noncharacter = 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
    if category == "Cs" or is_noncharacter:
        return "_"
    return character


def _undotted(stem: str) -> str:
    inner, extension = split_name(stem)
    while extension.lower() in _MODEL_EXTENSIONS | _RUNNABLE:
        stem = f"{inner.rstrip(' .')}_{extension[1:]}"
        inner, extension = split_name(stem)
    return stem


def _cut(stem: str, max_bytes: int) -> str:
    """`stem` in at most `max_bytes` of UTF-8, whole characters, no trailing space or dot."""
    encoded = stem.encode()
    if len(encoded) <= max_bytes:
        return stem
    return encoded[:max_bytes].decode(errors="ignore").rstrip(" .")

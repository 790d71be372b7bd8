"""What a user may name a model by, read into one of three plain values.

=============================================  =================================================
text                                           meaning
=============================================  =================================================
`78056`                                        the model, at its newest version
`78056@133274`                                 the model, at that version
`https://civitai.com/models/78056/any-slug`    the model; `?modelVersionId=` names the version
`civitai.com/model-versions/133274`            the version
`civitai.com/api/download/models/133274?...`   the version, and the file that the query describes
`urn:air:sd1:checkpoint:civitai:78056@133274`  an AIR and its short forms (:mod:`.air`)
`AniVerse (428028)`                            the version, as lists of resources print it
64, 12, 10 or 8 hexadecimal digits             a hash: SHA256 or BLAKE3, AutoV3, AutoV2,
                                               CRC32 or AutoV1
`name [b4703d513b]`                            a hash, as web UIs print a checkpoint's title
`sha256:...`, `crc32:...`, `autov1:...`        a hash of exactly that kind
=============================================  =================================================

Digits alone are an id when they can be one: no leading zero, at most 2147483647. So eight decimal
digits are never read as CRC32 or AutoV1 (write `crc32:12345678`), and ten are an AutoV2 only when
they are too large for an id. Everything here is pure: no network, no settings.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import urlencode

from modelhub.civitai import air, links
from modelhub.civitai.arguments import expand_arguments
from modelhub.civitai.reference_values import (
    HASH_DIGITS,
    MAX_ID,
    FileWish,
    HashKind,
    HashRef,
    ModelRef,
    Reference,
    VersionRef,
    checked_id,
    hash_reference,
    quoted,
)
from modelhub.errors import MalformedReference

__all__ = [
    "HASH_DIGITS",
    "MAX_ID",
    "FileWish",
    "HashKind",
    "HashRef",
    "ModelRef",
    "Reference",
    "VersionRef",
    "expand_arguments",
    "hash_reference",
    "parse_reference",
    "reference_text",
]

_LONGEST: Final = 4096
_NUMBER = re.compile(r"[0-9]+")
_MODEL = re.compile(r"([0-9]+)\s*@\s*([0-9]+)")
_NAMED_VERSION = re.compile(r"(\S.*?)\s*\(([0-9]+)\)", re.DOTALL)
_TITLE_HASH = re.compile(r".*\[([0-9a-fA-F]{8,64})\]", re.DOTALL)
_HEX = re.compile(r"[0-9a-fA-F]+")
_PREFIXED = re.compile(r"(sha256|blake3|autov[123]|crc32)\s*[:=]\s*(.*)", re.IGNORECASE | re.DOTALL)
_QUOTES = {'"': '"', "'": "'", "<": ">", "`": "`", "“": "”", "«": "»"}
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060\u200e\u200f"


def parse_reference(text: str, *, hosts: Collection[str] = ()) -> Reference:
    """Read one reference.

    :param hosts: hosts beside Civitai's own whose links are understood (`host` or `host:port`),
        as :func:`modelhub.civitai.links.host_of` gives for `civitai.url`.
    :raises MalformedReference: it is none of the forms above.
    :raises UnsupportedSource: it names something that is not on Civitai.
    """
    if len(text) > _LONGEST:
        raise MalformedReference(f"a reference of {len(text)} characters: too long to be one")
    bare = _unwrapped(text)
    if not bare:
        raise MalformedReference("an empty reference")
    if found := _as_hash(bare) or _as_ids(bare):
        return found
    if links.looks_like_link(bare, hosts):
        return links.parse_link(bare, hosts)
    if air.looks_like_air(bare):
        return air.parse_air(bare)
    if match := _TITLE_HASH.fullmatch(bare):
        return hash_reference(match[1], shown=bare)
    if match := _NAMED_VERSION.fullmatch(bare):
        return VersionRef(checked_id(match[2], shown=bare), name=match[1])
    raise MalformedReference(f"{quoted(text)} is no reference that modelhub knows")


def reference_text(reference: Reference) -> str:
    """The shortest text that :func:`parse_reference` reads as `reference` (its `name` aside)."""
    match reference:
        case HashRef(value, (kind,)):
            return f"{kind.lower()}:{value}"
        case HashRef(value):
            return value
        case ModelRef(model_id, None, file) if file.is_open:
            return str(model_id)
        case ModelRef(model_id, version_id, file) if file.is_open:
            return f"{model_id}@{version_id}"
        case ModelRef(model_id, version_id, file):
            version = {} if version_id is None else {"modelVersionId": version_id}
            return f"https://civitai.com/models/{model_id}?{urlencode(version | _query(file))}"
        case VersionRef(version_id, file):
            query = urlencode(_query(file))
            return f"https://civitai.com/model-versions/{version_id}{'?' if query else ''}{query}"


def _unwrapped(text: str) -> str:
    """`text` without the blanks, invisible marks and quotes that copying puts around."""
    bare = text.strip().strip(_INVISIBLE).strip()
    if len(bare) > 1 and _QUOTES.get(bare[0]) == bare[-1]:
        bare = bare[1:-1].strip()
    return bare


def _as_hash(bare: str) -> HashRef | None:
    if match := _PREFIXED.fullmatch(bare):
        kind = next(kind for kind in HashKind if kind.lower() == match[1].lower())
        return hash_reference(match[2].strip(), kind=kind, shown=bare)
    if not _HEX.fullmatch(bare) or len(bare) not in HASH_DIGITS.values():
        return None
    if bare.isdigit() and not bare.startswith("0") and (len(bare) <= 10 and int(bare) <= MAX_ID):
        return None
    return hash_reference(bare)


def _as_ids(bare: str) -> ModelRef | None:
    if _NUMBER.fullmatch(bare):
        return ModelRef(checked_id(bare, shown=bare))
    if match := _MODEL.fullmatch(bare):
        return ModelRef(
            checked_id(match[1], shown=bare), version_id=checked_id(match[2], shown=bare)
        )
    return None


def _query(file: FileWish) -> dict[str, str | int]:
    values = {
        "fileId": file.file_id,
        "type": file.type,
        "format": file.format,
        "fp": file.fp,
        "size": file.size,
        "quantType": file.quant_type,
    }
    return {name: value for name, value in values.items() if value is not None}

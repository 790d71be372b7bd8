"""What a name in a pickle is, told by the name alone."""

from __future__ import annotations

import functools
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

from modelhub.formats.pickles import Global
from modelhub.formats.scan.allowed import ALLOWED
from modelhub.formats.scan.dangers import DANGEROUS_MODULES, DANGEROUS_NAMES, REACHING
from modelhub.formats.scan.report import Rank

_MOST_PARTS = 16
_REACHED = frozenset({"os", "sys", "subprocess", "builtins", "posix", "nt", "__builtins__"})
"""Modules that other modules have imported: ``numpy.core._internal.sys``."""
_TORCHSCRIPT = "__torch__"
_BUILTINS = ("__builtin__", "__builtins__")


@functools.lru_cache(maxsize=1024)
def rank_of(module: str, name: str) -> tuple[Rank, str]:
    """Rank and reason of a name, as it is spelt and as Python 3 spells it: the worse counts.

    Python 3 renames what pickles of protocols 0 to 2 name (``_compat_pickle``): ``commands`` is
    ``subprocess`` there.
    """
    spelt = _ranked(module, name)
    if (module, name) in NAME_MAPPING:
        today = _ranked(*NAME_MAPPING[module, name])
    elif module in IMPORT_MAPPING:
        today = _ranked(IMPORT_MAPPING[module], name)
    else:
        return spelt
    return max(spelt, today, key=lambda one: one[0].severity)


def _ranked(module: str, name: str) -> tuple[Rank, str]:
    allowed = ALLOWED.get((module, name))
    if allowed is not None:
        return allowed
    if Global.COMPUTED in (module, name):
        return Rank.DANGEROUS, "the pickle computes what it imports"
    if module == Global.EXTENSIONS:
        return Rank.SUSPICIOUS, "a number in place of a name: what it stands for is not in the file"
    why = _danger(module, name)
    if why is not None:
        return Rank.DANGEROUS, why
    return Rank.SUSPICIOUS, _unknown(module)


def _danger(module: str, name: str) -> str | None:
    own = name.split(".")
    parts = module.split(".") + own
    if parts[0] in _BUILTINS:
        parts[0] = "builtins"
    for end in range(1, min(len(parts), _MOST_PARTS) + 1):
        prefix = ".".join(parts[:end])
        if prefix in DANGEROUS_MODULES:
            return DANGEROUS_MODULES[prefix]
        why, names = DANGEROUS_NAMES.get(prefix, ("", frozenset()))
        if end < len(parts) and parts[end] in names:
            return why
    if _REACHED & set(parts[1:]):
        return "reaches a module that another one has imported"
    if any(part[:2] == "__" == part[-2:] and len(part) > 4 for part in own):
        return "reaches into the interpreter"
    if parts[-1] in REACHING:
        return "runs code or reaches other code, by its name"
    if parts[0].startswith("_") and parts[0] in sys.stdlib_module_names:
        return "a private part of Python"
    return None


def _unknown(module: str) -> str:
    top = module.partition(".")[0]
    if top == _TORCHSCRIPT:
        return "a class that the TorchScript archive brings along, as code"
    if top == "__main__":
        return "a class of the script that saved the file"
    return "unknown: no model that we know needs it"

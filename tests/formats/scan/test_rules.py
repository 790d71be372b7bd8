"""What a name is, and what it may be called with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from modelhub.formats.pickles import Held
from modelhub.formats.scan import Rank, Verdict, tables
from modelhub.formats.scan.allowed import ALLOWED
from modelhub.formats.scan.dangers import DANGEROUS_MODULES, DANGEROUS_NAMES
from modelhub.formats.scan.examine import examine
from modelhub.formats.scan.report import ScanReport
from modelhub.formats.scan.rules import rank_of
from modelhub.formats.scan.tally import Tally
from tests.pickle_opcodes import (
    BUILD,
    EMPTY_DICT,
    EMPTY_LIST,
    EMPTY_TUPLE,
    NONE,
    SETITEM,
    binary,
    calls,
    named,
    number,
    pickled,
    tensor_tree,
    text,
    tuple_of,
)


def scanned(data: bytes) -> ScanReport:
    tally = Tally()
    examine(tally, Held(data), "", 0)
    return tally.report()


@pytest.mark.parametrize(
    ("module", "name", "rank"),
    [
        ("collections", "OrderedDict", Rank.TENSORS),
        ("torch", "BFloat16Storage", Rank.TENSORS),
        ("torch._utils", "_rebuild_tensor_v2", Rank.TENSORS),
        ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint", Rank.HARMLESS),
        ("__builtin__", "long", Rank.HARMLESS),
        ("some_package", "Thing", Rank.SUSPICIOUS),
        ("__main__", "Model", Rank.SUSPICIOUS),
        ("collections", "ordereddict", Rank.SUSPICIOUS),
        ("Collections", "OrderedDict", Rank.SUSPICIOUS),
        ("collections", "OrderedDict\0", Rank.SUSPICIOUS),
        ("builtins", "eval", Rank.DANGEROUS),
        ("__builtins__", "eval", Rank.DANGEROUS),
        ("commands", "getoutput", Rank.DANGEROUS),
        ("os.path", "join", Rank.DANGEROUS),
        ("torch", "hub.load", Rank.DANGEROUS),
        ("torch.nn.modules.module", "Module.__init__", Rank.DANGEROUS),
        ("numpy.core._internal.sys", "modules", Rank.DANGEROUS),
        ("some_package.util", "subprocess", Rank.DANGEROUS),
        ("some_package.util", "import_module", Rank.DANGEROUS),
        ("_private_of_nobody", "thing", Rank.SUSPICIOUS),
        ("_winreg", "OpenKey", Rank.SUSPICIOUS),
        ("_posixsubprocess", "fork_exec", Rank.DANGEROUS),
        ("_ctypes", "dlopen", Rank.DANGEROUS),
        ("(computed)", "system", Rank.DANGEROUS),
        ("", "", Rank.SUSPICIOUS),
        ("." * 4096, "." * 4096, Rank.SUSPICIOUS),
    ],
)
def test_the_rank_of_a_name(module: str, name: str, rank: Rank) -> None:
    assert rank_of(module, name)[0] is rank


def test_nothing_that_is_allowed_is_called_dangerous_elsewhere() -> None:
    """A name of a dangerous module is allowed only on purpose."""
    meant = {("uuid", "UUID"), ("uuid", "SafeUUID"), ("_io", "BytesIO"), ("io", "BytesIO")}
    for module, name in ALLOWED:
        parts = module.split(".")
        above = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
        assert not above & set(DANGEROUS_MODULES) or (module, name) in meant
        assert name not in DANGEROUS_NAMES.get(module, ("", frozenset()))[1]


def test_every_private_module_of_python_is_dangerous_but_for_the_codec() -> None:
    for module in sys.stdlib_module_names:
        if module.startswith("_"):
            assert rank_of(module, "anything")[0] is Rank.DANGEROUS


@pytest.mark.parametrize(
    "honest",
    [
        tensor_tree(),
        pickled(calls("_codecs", "encode", text("\xff\0"), text("latin1"))),
        pickled(calls("collections", "defaultdict", named("builtins", "list"))),
        pickled(calls("collections", "defaultdict")),
        pickled(calls("copyreg", "_reconstructor", named("argparse", "Namespace"),
                      named("builtins", "object"), NONE), EMPTY_DICT, text("lr"), NONE, SETITEM,
                BUILD),
        pickled(calls("numpy._core.multiarray", "_reconstruct", named("numpy", "ndarray"),
                      tuple_of(number(0)), binary(b"b"))),
        pickled(calls("torch._tensor", "_rebuild_from_type_v2",
                      named("torch._utils", "_rebuild_tensor_v2"),
                      named("torch.nn.parameter", "Parameter"), EMPTY_TUPLE, EMPTY_DICT)),
        pickled(calls("builtins", "bytearray", text("x"), text("latin-1"))),
        pickled(calls("torch", "device", text("cuda:0"))),
        pickled(EMPTY_LIST),
    ],
    ids=range(10),
)  # fmt: skip
def test_what_honest_checkpoints_do_is_safe(honest: bytes) -> None:
    report = scanned(honest)
    assert report.verdict is Verdict.SAFE, report
    assert report.pickles == 1


@pytest.mark.parametrize(
    "odd",
    [
        calls("_codecs", "encode", text("x"), text("zlib_codec")),
        calls("_codecs", "encode", text("x")),
        calls("collections", "defaultdict", named("builtins", "bytearray")),
        calls("copyreg", "_reconstructor", named("argparse", "Namespace"),
              named("collections", "deque"), NONE),
        calls("torch._tensor", "_rebuild_from_type_v2",
              named("torch._utils", "_rebuild_tensor_v2"), named("some", "Tensor"),
              EMPTY_TUPLE, NONE),
        calls("builtins", "str", binary(b"x"), text("unicode_escape")),
        calls("torch._utils", "_rebuild_wrapper_subclass", named("some", "Tensor")),
    ],
    ids=range(7),
)  # fmt: skip
def test_an_allowed_function_with_unusual_arguments_is_not(odd: bytes) -> None:
    assert scanned(pickled(odd)).verdict is Verdict.SUSPICIOUS


def test_a_state_that_replaces_special_methods_is_dangerous() -> None:
    state = EMPTY_DICT + text("__setstate__") + named("collections", "OrderedDict") + SETITEM
    report = scanned(pickled(calls("argparse", "Namespace"), state, BUILD))
    assert report.verdict is Verdict.DANGEROUS
    assert report.findings[0].path == "argparse.Namespace"


def test_the_documented_tables_are_those_of_the_program() -> None:
    page = Path(__file__).parents[3] / "docs" / "scanning-rules.md"
    words = page.read_text(encoding="utf-8")
    assert words == tables.rewritten(words)

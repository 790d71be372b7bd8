"""Damaged and misleading torch files: each gets an answer or an error that names the place."""

from __future__ import annotations

import io
import pickle
import struct
import time
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import FormatError
from modelhub.formats.tensors import FileFormat, Header
from modelhub.formats.torchfile import read_torch
from tests.patience import SOON

DATA = Path(__file__).parents[2] / "data"
_FILES = {path.name: path.read_bytes() for path in sorted((DATA / "torch").glob("*.[pctb]*"))}
_CORPUS = sorted(path for path in (DATA / "pickles").iterdir() if path.suffix != ".md")


def read(data: bytes) -> Header:
    return read_torch(io.BytesIO(data), len(data))


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=compression)
    return out.getvalue()


def tensor(shape: str = "(I3\nI4\nt", stride: str = "(I4\nI1\nt", **changed: str) -> bytes:
    """The pickle of one tensor, its parts as opcodes of protocol 0."""
    parts = {"kind": "storage", "type": "ctorch\nFloatStorage\n", "key": "V0\n", "numel": "I12\n"}
    parts |= {"offset": "I0\n", **changed}
    pid = f"(V{parts['kind']}\n{parts['type']}{parts['key']}Vcpu\n{parts['numel']}tQ"
    return (
        f"(dVw\nctorch._utils\n_rebuild_tensor_v2\n({pid}{parts['offset']}{shape}{stride}I00\n"
        "ccollections\nOrderedDict\n)RtRs."
    ).encode()


def model(pickled: bytes, storage: bytes = bytes(48)) -> bytes:
    return zipped({"m/data.pkl": pickled, "m/data/0": storage, "m/version": b"3\n"})


def test_the_small_model_of_these_tests_is_whole() -> None:
    assert read(model(tensor())).tensors["w"].shape == (3, 4)


@pytest.mark.parametrize(
    ("what", "pickled"),
    [
        ("reaches out", tensor(shape="(I4\nI4\nt")),
        ("reaches out", tensor(offset="I1\n")),
        ("reaches out", tensor(stride="(I4\nI9223372036854775807\nt")),
        ("no proper number", tensor(shape="(I-3\nI4\nt")),
        ("no proper number", tensor(shape="(L9223372036854775808L\nI4\nt")),
        ("no proper number", tensor(shape="(VA\nI4\nt")),
        ("no proper number", tensor(shape="(I01\nI4\nt")),
        ("no proper number", tensor(offset="N")),
        ("differ in length", tensor(shape="(I12\nt")),
        ("proper shape", tensor(shape="N")),
        ("proper shape", tensor(shape="(" + "I1\n" * 65 + "t")),
        ("elements", tensor(shape="(I4294967296\nI4294967296\nt", stride="(I0\nI0\nt")),
        ("not in the file", tensor(key="V1\n")),
        ("has 48 bytes", tensor(numel="I13\n")),
        ("has 48 bytes", tensor(type="ctorch\nDoubleStorage\n")),
        ("no known way", tensor(type="ctorch\nOtherStorage\n")),
        ("no known way", tensor(kind="module")),
        ("no known way", tensor(key="N")),
    ],
)
def test_a_tensor_that_cannot_be_is_refused(what: str, pickled: bytes) -> None:
    with pytest.raises(FormatError, match=what):
        read(model(pickled))


@pytest.mark.parametrize(
    "name",
    ["../evil", "m/../../evil", "/etc/passwd", "m//x", "m/./x", "C:/x", "m\\x", "m/a\nb"],
)
def test_a_member_that_points_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(FormatError, match="a member named"):
        read(zipped({"m/data.pkl": tensor(), name: b"x"}))


def test_two_members_of_one_name_are_refused() -> None:
    whole = zipped({"m/data.pkl": tensor(), "m/data.pkm": b"N."})
    with pytest.raises(FormatError, match="two members"):
        read(whole.replace(b"m/data.pkm", b"m/data.pkl"))


def test_a_zip_bomb_is_not_inflated() -> None:
    started = time.monotonic()
    bomb = zipped({"m/data.pkl": b"]" * 300_000_000}, zipfile.ZIP_DEFLATED)
    made = time.monotonic() - started
    with pytest.raises(FormatError, match="would inflate to 300,000,000 bytes"):
        read(bomb)
    assert time.monotonic() - started - made < SOON


def test_a_member_that_inflates_to_more_than_it_says_is_refused() -> None:
    whole = zipped({"m/data.pkl": tensor() * 100}, zipfile.ZIP_DEFLATED)
    size = struct.pack("<L", len(tensor() * 100))
    with pytest.raises(FormatError, match="another size"):
        read(whole.replace(size, struct.pack("<L", 1000)))


def test_a_deflated_pickle_is_read_and_a_deflated_storage_refused() -> None:
    members = {"m/data.pkl": tensor(), "m/data/0": bytes(48)}
    with pytest.raises(FormatError, match="compressed"):
        read(zipped(members, zipfile.ZIP_DEFLATED))
    assert read(zipped({"m/data.pkl": b"(dVn\nI3\ns."}, zipfile.ZIP_DEFLATED)).metadata == {
        "n": "3"
    }


def test_headers_that_contradict_each_other_are_refused() -> None:
    whole = model(tensor())
    for old, new in [
        (b"m/data.pkl", b"m/datA.pkl"),
        (struct.pack("<L", len(tensor())), struct.pack("<L", len(tensor()) - 1)),
        (struct.pack("<L", zlib.crc32(tensor())), b"\1\2\3\4"),
        (b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0\1\0"),
    ]:
        with pytest.raises(FormatError):
            read(whole.replace(old, new, 1))


def test_a_wrong_checksum_of_the_tree_is_noted() -> None:
    whole = model(tensor()).replace(struct.pack("<L", zlib.crc32(tensor())), b"\1\2\3\4")
    found = read(whole)
    assert "the checksum of data.pkl is wrong" in found.notices


def test_bytes_before_or_behind_the_archive_are_refused() -> None:
    whole = model(tensor())
    with pytest.raises(FormatError):
        read(whole[:4] + b"x" + whole[4:])
    with pytest.raises(FormatError, match="follow"):
        read(whole + b"x")


def test_a_member_that_its_local_header_shifts_into_the_next_is_refused() -> None:
    whole = bytearray(model(tensor()))
    extra_size = 28
    whole[extra_size : extra_size + 2] = struct.pack("<H", 8)
    with pytest.raises(FormatError, match="reaches into what follows"):
        read(bytes(whole))


def test_members_that_overlap_are_refused() -> None:
    whole = bytearray(model(tensor()))
    second = whole.rindex(b"PK\1\2", 0, whole.rindex(b"PK\1\2"))
    whole[second + 42 : second + 46] = struct.pack("<L", 10)
    with pytest.raises(FormatError, match="overlaps"):
        read(bytes(whole))


def test_an_archive_behind_a_pickle_is_told() -> None:
    found = read(b"N." + model(tensor()))
    assert found.format is FileFormat.PICKLE
    assert "a zip archive is appended to it" in found.notices


def test_an_encrypted_member_is_refused() -> None:
    data = (DATA / "pickles" / "benign_password_protected.zip").read_bytes()
    with pytest.raises(FormatError, match="encrypted"):
        read(data)


def test_an_absurd_count_of_members_is_refused() -> None:
    whole = bytearray(model(tensor()))
    end = whole.rindex(b"PK\5\6")
    whole[end + 8 : end + 12] = b"\xff\xff\xff\xff"
    with pytest.raises(FormatError, match="members"):
        read(bytes(whole))


def test_a_zip_without_a_tree_is_an_archive() -> None:
    found = read(zipped({"readme.txt": b"hello"}))
    assert found.format is FileFormat.ZIP
    assert not found.tensors


def test_numbers_of_another_byte_order_are_told() -> None:
    found = read(zipped({"m/data.pkl": b"(d.", "m/byteorder": b"big"}))
    assert "its numbers are big-endian" in found.notices
    with pytest.raises(FormatError, match="byte order"):
        read(zipped({"m/data.pkl": b"(d.", "m/byteorder": b"middle"}))


def test_a_legacy_file_of_contradicting_counts_is_refused() -> None:
    whole = _FILES["legacy.pt"]
    assert whole.count(struct.pack("<q", 12)) == 1
    with pytest.raises(FormatError, match="a storage of 13, not 12"):
        read(whole.replace(struct.pack("<q", 12), struct.pack("<q", 13)))


def test_a_magic_number_that_is_computed_makes_no_torch_file() -> None:
    found = read((DATA / "pickles" / "pytorch_magic_bypass.pt").read_bytes())
    assert found.format is FileFormat.PICKLE


@pytest.mark.parametrize("name", _FILES)
def test_a_file_that_is_cut_off_anywhere_is_refused(name: str) -> None:
    whole = _FILES[name]
    # The tar form ends in zeros, and a pickle in its last opcode.
    last = len(whole.rstrip(b"\0")) if name == "oldest.tar" else len(whole)
    for length in [*range(0, min(last, 1200)), *range(1200, last, 7)]:
        with pytest.raises(FormatError) as caught:
            read(whole[:length])
        assert 0 <= caught.value.offset <= length


@pytest.mark.parametrize("path", _CORPUS, ids=lambda path: path.name)
def test_every_file_of_the_corpus_gets_an_answer(path: Path) -> None:
    try:
        found = read(path.read_bytes())
    except FormatError as error:
        assert error.offset >= 0  # noqa: PT017 - some are whole
    else:
        assert found.format in (FileFormat.PICKLE, FileFormat.TORCH_ZIP, FileFormat.ZIP)


def test_a_tree_that_holds_itself_has_an_end() -> None:
    # A dict with itself twice, ten keys deep: two to the power of its depth paths.
    looped = b"(dp0\n" + b"".join(b"Vk%d\ng0\ns" % n for n in range(10)) + b"."
    started = time.monotonic()
    with pytest.raises(FormatError, match="too many branches"):
        read(looped)
    assert time.monotonic() - started < 20


def test_training_state_that_holds_itself_does_not_hide_the_weights() -> None:
    loop = b"(dp0\n" + b"".join(b"Vk%d\ng0\ns" % n for n in range(10))
    weights = tensor()[2:-2]
    found = read(model(b"(d" + weights + b"sVoptimizer\n" + loop + b"s."))
    assert list(found.tensors) == ["w"]
    assert any("not looked through" in notice for notice in found.notices)


def test_names_that_are_no_text_are_made_text() -> None:
    pickled = pickle.dumps({"a\ud800": "b\udfff", b"\xff": 1, (1, 2): 3}, 4)
    found = read(zipped({"m/data.pkl": pickled}))
    assert found.metadata == {"a\\ud800": "b\\udfff", "ÿ": "1", "(a key of many values)": "3"}


@given(st.sampled_from(sorted(_FILES)), st.data())
def test_a_file_with_any_bytes_changed_gets_an_answer_or_a_format_error(
    name: str, data: st.DataObject
) -> None:
    changed = bytearray(_FILES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(changed))
    except FormatError as error:
        assert error.offset >= 0  # noqa: PT017 - some changes do no harm
    else:
        assert found.size == len(changed)


@given(st.binary(max_size=1000))
def test_any_bytes_behind_a_zips_or_a_tars_first_get_an_answer(data: bytes) -> None:
    for whole in (b"PK\3\4" + data, data.ljust(257, b"\0")[:257] + b"ustar\x0000" + data):
        try:
            read(whole)
        except FormatError as error:
            assert error.offset >= 0  # noqa: PT017 - some are whole

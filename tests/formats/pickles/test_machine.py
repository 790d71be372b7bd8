"""The machine gives the values of a pickle, and inert records for all that it would import."""

from __future__ import annotations

import collections
import pickle
import pickletools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import FileUnreadable, FormatError
from modelhub.formats.pickles import (
    Built,
    Call,
    FilePart,
    Global,
    Held,
    Key,
    Machine,
    OutOfBand,
    PersistentId,
    SetOf,
    Skipped,
)
from modelhub.formats.pickles.opcodes import OPCODES

_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 200), 1 << 200)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(-1000, 1 << 40), inner)
    ),
)


def load(data: bytes) -> Any:
    return Machine(Held(data)).load()


@given(_PLAIN, st.integers(0, 5))
def test_plain_values_come_out_as_they_went_in(value: object, protocol: int) -> None:
    assert load(pickle.dumps(value, protocol)) == value


@given(st.binary())
def test_bytes_come_out_as_they_went_in(value: bytes) -> None:
    assert load(pickle.dumps(value, 4)) == value
    assert load(pickle.dumps(bytearray(value), 5)) == value


def test_every_opcode_of_the_standard_library_is_known() -> None:
    unknown = OPCODES[0]
    known = {code for code in range(256) if OPCODES[code] is not unknown}
    assert known == {ord(opcode.code) for opcode in pickletools.opcodes}


@pytest.mark.parametrize("protocol", range(6))
def test_a_call_is_noted_with_its_name_its_arguments_and_its_items(protocol: int) -> None:
    found = load(pickle.dumps(collections.OrderedDict([("a", 1), ("b", 2)]), protocol))
    assert isinstance(found, Call)
    assert isinstance(found.callable, Global)
    assert found.callable.path == "collections.OrderedDict"
    assert found.items == {"a": 1, "b": 2}


class Thing:
    """Something with a state, to be pickled."""

    def __init__(self) -> None:
        self.colour = "red"


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_an_objects_state_is_kept_beside_the_call_that_makes_it(protocol: int) -> None:
    found = load(pickle.dumps(Thing(), protocol))
    assert isinstance(found, Call)
    assert found.states == [{"colour": "red"}]


@pytest.mark.parametrize(
    ("opcodes", "module", "name"),
    [
        (b"cos\nsystem\n(Vls\ntR.", "os", "system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.", "os", "system"),
        (b"\x80\x04Vsystem\nq\x000Vos\nh\x00\x93)R.", "os", "system"),
        (b"(Vls\nios\nsystem\n.", "os", "system"),
        (b"(cos\nsystem\nVls\no.", "os", "system"),
        (b"\x80\x02cos\nsystem\n)\x81.", "os", "system"),
        (b"\x80\x04cos\nsystem\n)}\x92.", "os", "system"),
        (b"\x80\x04\x8c\x03bdb\x8c\x07Bdb.run\x93)R.", "bdb", "Bdb.run"),
        (b"\x80\x02\x82\x07)R.", Global.EXTENSIONS, "7"),
        (b"\x80\x02\x83\x07\x01)R.", Global.EXTENSIONS, "263"),
        (b"\x80\x02\x84\x07\x00\x01\x00)R.", Global.EXTENSIONS, "65543"),
        (b"\x80\x04cos\nname\n)RVsystem\n\x93)R.", Global.COMPUTED, "system"),
    ],
)
def test_each_way_to_a_name_is_followed(opcodes: bytes, module: str, name: str) -> None:
    machine = Machine(Held(opcodes))
    found = machine.load()
    assert isinstance(found, Call)
    assert (module, name) in machine.globals


def test_names_before_a_fault_are_kept() -> None:
    machine = Machine(Held(b"cos\nsystem\n(Vls\ntR" + b"\xff"))
    with pytest.raises(FormatError):
        machine.load()
    assert [one.path for one in machine.globals.values()] == ["os.system"]


def test_a_fault_is_told_within_the_file_where_an_opcode_would_end_behind_it() -> None:
    pickled = b"\x80\x04\x95\x02" + bytes(7) + b"]J."  # a number of four bytes, and one of them
    with pytest.raises(FormatError) as caught:
        load(pickled)
    assert caught.value.offset <= len(pickled)


def test_a_name_tells_where_it_stands() -> None:
    machine = Machine(Held(b"N0cos\nsystem\n.", origin=1000))
    machine.load()
    assert machine.globals["os", "system"].offset == 1002


def test_a_module_that_is_written_into_is_a_record_and_no_end() -> None:
    found = load(b"csys\nmodules\n}Vx\nVy\nsb.")
    assert isinstance(found, Built)
    assert isinstance(found.obj, Global)
    after = Machine(Held(b"csys\nmodules\nVx\nNs0cos\nsystem\n."))
    after.load()
    assert ("os", "system") in after.globals


def test_a_persistent_id_is_a_record_in_both_spellings() -> None:
    machine = Machine(Held(b"(Pkey\n(Vstorage\nI7\ntQt."))
    found = machine.load()
    assert isinstance(found, tuple)
    assert [one.pid for one in found if isinstance(one, PersistentId)] == ["key", ("storage", 7)]
    assert machine.persistent == ["key", ("storage", 7)]


def test_sets_are_lists_of_members() -> None:
    found = load(b"\x80\x04\x8f(K\x01K\x02\x90.")
    assert isinstance(found, SetOf)
    assert found.members == [1, 2]
    frozen = load(b"\x80\x04(K\x01\x91.")
    assert isinstance(frozen, SetOf)


def test_out_of_band_buffers_are_records() -> None:
    assert isinstance(load(b"\x80\x05\x97\x98."), OutOfBand)


def test_several_pickles_are_read_one_after_the_other() -> None:
    machine = Machine(Held(b"".join(pickle.dumps(n, 2) for n in range(3))))
    assert [machine.load() for _ in range(3)] == [0, 1, 2]
    assert machine.position == machine.source.size


def test_keys_that_would_be_hashed_by_content_are_wrapped() -> None:
    found = load(pickle.dumps({(1, 2): "a", 1 << 80: "b", 5: "c"}))
    assert isinstance(found, dict)
    assert [type(key) for key in found] == [Key, Key, int]


def test_a_long_string_is_left_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.pkl"
    path.write_bytes(pickle.dumps(["before", b"x" * 5_000_000, "behind"], 4))
    with path.open("rb") as file:
        found = Machine(FilePart(file, path.stat().st_size)).load()
        assert isinstance(found, list)
        assert (found[0], found[2]) == ("before", "behind")
        assert isinstance(found[1], Skipped)
        assert found[1].size == 5_000_000
        file.seek(found[1].offset)
        assert file.read(found[1].size) == b"x" * 5_000_000


def test_a_pickle_longer_than_a_window_is_read_in_pieces() -> None:
    value = [{"name": f"tensor {n}", "size": n * 1.5} for n in range(60_000)]
    assert load(pickle.dumps(value, 2)) == value


def test_a_file_that_shrinks_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "shrinks.pkl"
    path.write_bytes(pickle.dumps(list(range(1000))))
    with path.open("rb") as file, pytest.raises(FileUnreadable):
        Machine(FilePart(file, path.stat().st_size + 1)).load()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb"S'a\x41\n\101\'\\'", "aA\nA'\\"),
        (rb"S'\q'", "\\q"),
        (rb"S'\xff'", b"\xff"),
        (b'S"it\'s"', "it's"),
        (rb"V\u00e9", "é"),
        (b"L12345678901234567890L", 12345678901234567890),
        (b"I01", True),
        (b"I00", False),
        (b"F1.5", 1.5),
    ],
)
def test_texts_of_protocol_0(text: bytes, value: object) -> None:
    assert load(text + b"\n.") == value

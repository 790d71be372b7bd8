"""The journal: whatever a crash leaves of it, what is read back is true."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.transfer import journal
from modelhub.transfer.journal import DIGEST_BYTES, MAGIC, Extent, Head, Journal

HEAD = Head(size=1 << 40, etag='"abc"', modified="yesterday", hashes={"SHA256": "A" * 64})


def extent(offset: int, length: int = 100, mark: int = 7) -> Extent:
    return Extent(offset, length, bytes([mark]) * DIGEST_BYTES)


def written(folder: Path, *extents: Extent, head: Head = HEAD) -> bytes:
    path = folder / "journal"
    path.unlink(missing_ok=True)
    made = Journal.create(path, head)
    for one in extents:
        made.add(one)
    made.close()
    return path.read_bytes()


def test_what_was_recorded_is_read_back_in_the_order_of_the_file(tmp_path: Path) -> None:
    state = journal.parse(written(tmp_path, extent(500), extent(0), extent(200)))
    assert state is not None
    assert state.head == HEAD
    assert [one.offset for one in state.extents] == [0, 200, 500]


def test_a_journal_cut_anywhere_gives_a_beginning_of_its_records(tmp_path: Path) -> None:
    records = [extent(n * 100) for n in range(4)]
    data = written(tmp_path, *records)
    head_end = len(data) - 4 * 32
    for cut in range(len(data) + 1):
        state = journal.parse(data[:cut])
        if cut < head_end:
            assert state is None
        else:
            whole = (cut - head_end) // 32
            assert state is not None
            assert list(state.extents) == records[:whole]
            assert state.length == head_end + 32 * whole


def test_a_flipped_bit_ends_the_records_or_the_journal(tmp_path: Path) -> None:
    data = written(tmp_path, extent(0), extent(100))
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 4
        state = journal.parse(bytes(damaged))
        if state is not None:
            assert len(state.extents) < 2


def test_of_two_records_of_the_same_bytes_the_later_one_counts(tmp_path: Path) -> None:
    state = journal.parse(written(tmp_path, extent(0, mark=1), extent(100), extent(0, mark=2)))
    assert state is not None
    assert [one.digest[0] for one in state.extents] == [2, 7]


def test_records_beyond_the_file_are_not_believed(tmp_path: Path) -> None:
    data = written(tmp_path, extent(0), extent(950), head=Head(size=1000))
    state = journal.parse(data)
    assert state is not None
    assert [one.offset for one in state.extents] == [0]


def test_records_of_another_journal_do_not_fit(tmp_path: Path) -> None:
    other = written(tmp_path, extent(0), head=Head(size=5000, etag='"other"'))
    ours = written(tmp_path)
    state = journal.parse(ours + other[-32:])
    assert state is not None
    assert state.extents == ()


def test_it_goes_on_behind_its_valid_part(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(written(tmp_path, extent(0)) + b"torn record")
    state = journal.read(path)
    assert state is not None
    again = Journal.append_to(path, state)
    again.add(extent(100))
    again.close()
    state = journal.read(path)
    assert state is not None
    assert [one.offset for one in state.extents] == [0, 100]


def test_no_journal_is_no_state(tmp_path: Path) -> None:
    assert journal.read(tmp_path / "missing") is None


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_read_without_a_crash(data: bytes) -> None:
    assert journal.parse(data) is None
    state = journal.parse(MAGIC + data)
    assert state is None or state.length <= len(MAGIC) + len(data)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_behind_a_good_head_are_read_without_a_crash(data: bytes) -> None:
    text, crc = journal._encode_head(HEAD)
    state = journal.parse(text + data)
    assert state is not None
    assert state.head_crc == crc
    assert all(one.end <= HEAD.size for one in state.extents)

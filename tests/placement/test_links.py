from __future__ import annotations

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from modelhub.errors import Cancelled, DiskFull, FolderNotWritable, RootMissing
from modelhub.placement.links import Linked, same_content_at

CONTENT = os.urandom(3 << 20)
SHA256 = hashlib.sha256(CONTENT).hexdigest().upper()


@pytest.fixture
def existing(tmp_path: Path) -> Path:
    path = tmp_path / "here.safetensors"
    path.write_bytes(CONTENT)
    return path


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_the_content_gets_a_second_place_on_the_same_disk(existing: Path, tmp_path: Path) -> None:
    target = tmp_path / "there.safetensors"
    result = same_content_at(existing, target, sha256=SHA256, size=len(CONTENT))
    assert result.how in (Linked.HARD_LINK, Linked.REFLINK)
    assert result.done
    assert target.read_bytes() == CONTENT
    assert names(tmp_path) == {"here.safetensors", "there.safetensors"}


def test_where_blocks_can_be_shared_the_files_stay_independent(shared_blocks_disk: Path) -> None:
    existing, target = shared_blocks_disk / "a", shared_blocks_disk / "b"
    existing.write_bytes(CONTENT)
    os.sync()
    free_before = os.statvfs(shared_blocks_disk).f_bavail
    result = same_content_at(existing, target, sha256=SHA256)
    assert result.how is Linked.REFLINK
    os.sync()
    used = (free_before - os.statvfs(shared_blocks_disk).f_bavail) * 4096
    assert used < len(CONTENT) // 2
    assert not target.samefile(existing)
    assert target.stat().st_mtime_ns == existing.stat().st_mtime_ns
    with target.open("r+b") as file:
        file.write(b"changed")
    assert existing.read_bytes() == CONTENT
    assert names(shared_blocks_disk) == {"a", "b"}


def test_other_content_than_expected_is_not_linked(existing: Path, tmp_path: Path) -> None:
    existing.write_bytes(CONTENT[:-1] + b"x")
    target = tmp_path / "there"
    assert same_content_at(existing, target, sha256=SHA256).how is Linked.DIFFERENT
    assert same_content_at(existing, target, sha256=SHA256, size=5).how is Linked.DIFFERENT
    gone = same_content_at(tmp_path / "gone", target, sha256=SHA256, trusted=True)
    assert gone.how is Linked.DIFFERENT
    assert not target.exists()


def test_a_trusted_file_is_not_read_again(existing: Path, tmp_path: Path) -> None:
    result = same_content_at(existing, tmp_path / "there", sha256="0" * 64, trusted=True)
    assert result.done


def test_a_taken_target_is_never_replaced(existing: Path, tmp_path: Path) -> None:
    target = tmp_path / "there"
    target.write_text("the user's")
    result = same_content_at(existing, target, sha256=SHA256, trusted=True)
    assert result.how is Linked.TAKEN
    assert not result.done
    assert target.read_text() == "the user's"


def test_a_dangling_link_at_the_target_is_left_alone(existing: Path, tmp_path: Path) -> None:
    target = tmp_path / "there"
    target.symlink_to(tmp_path / "nowhere")
    assert same_content_at(existing, target, sha256=SHA256).how is Linked.TAKEN
    assert target.is_symlink()


def test_a_target_with_the_same_content_is_found_present(existing: Path, tmp_path: Path) -> None:
    copy, link = tmp_path / "copy", tmp_path / "link"
    copy.write_bytes(CONTENT)
    link.hardlink_to(existing)
    assert same_content_at(existing, copy, sha256=SHA256).how is Linked.PRESENT
    assert same_content_at(existing, link, sha256=SHA256, trusted=True).how is Linked.PRESENT
    assert same_content_at(existing, existing, sha256=SHA256).how is Linked.PRESENT


def test_a_link_is_made_to_the_file_and_not_to_a_symbolic_link(
    existing: Path, tmp_path: Path
) -> None:
    alias, target = tmp_path / "alias", tmp_path / "there"
    alias.symlink_to(existing)
    assert same_content_at(alias, target, sha256=SHA256).done
    assert not target.is_symlink()


def test_another_disk_is_only_reported_unless_a_copy_is_asked_for(
    existing: Path, other_disk: Path
) -> None:
    target = other_disk / "there"
    assert same_content_at(existing, target, sha256=SHA256).how is Linked.UNSUPPORTED
    assert names(other_disk) == set()
    result = same_content_at(existing, target, sha256=SHA256, copy=True)
    assert result.how is Linked.COPY
    assert target.read_bytes() == CONTENT
    assert names(other_disk) == {"there"}


def test_a_copy_is_proven_by_what_was_copied(existing: Path, other_disk: Path) -> None:
    result = same_content_at(
        existing, other_disk / "there", sha256="0" * 64, trusted=True, copy=True
    )
    assert result.how is Linked.DIFFERENT
    assert names(other_disk) == set()


def test_a_copy_that_does_not_fit_leaves_nothing(tmp_path: Path, other_disk: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(16 << 20)
    with pytest.raises(DiskFull):
        same_content_at(big, other_disk / "there", sha256="0" * 64, trusted=True, copy=True)
    assert names(other_disk) == set()


def test_cancelling_leaves_nothing(existing: Path, tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        same_content_at(existing, tmp_path / "there", sha256=SHA256, cancel=cancel)
    assert names(tmp_path) == {existing.name}


def test_a_target_folder_that_is_gone_or_read_only_is_an_error(
    existing: Path, tmp_path: Path, read_only_folder: Path
) -> None:
    with pytest.raises(RootMissing):
        same_content_at(existing, tmp_path / "gone" / "x", sha256=SHA256)
    with pytest.raises(FolderNotWritable) as caught:
        same_content_at(existing, read_only_folder / "x", sha256=SHA256)
    cause = caught.value.__cause__
    assert isinstance(cause, OSError)
    assert cause.errno in (errno.EROFS, errno.EACCES)

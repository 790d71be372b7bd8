from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from modelhub.errors import DiskError, FolderNotWritable, NotAFolder, RootMissing
from modelhub.placement.roots import prepare_folder

LORAS = PurePosixPath("models/Lora")


def test_folders_below_the_root_are_made_and_left_empty(tmp_path: Path) -> None:
    folder = prepare_folder(tmp_path, LORAS)
    assert folder == tmp_path / "models" / "Lora"
    assert folder.is_dir()
    assert list(folder.iterdir()) == []
    assert prepare_folder(tmp_path, LORAS) == folder
    assert prepare_folder(tmp_path, PurePosixPath(".")) == tmp_path


def test_a_root_that_is_gone_is_an_unmounted_disk(tmp_path: Path) -> None:
    root = tmp_path / "mnt" / "disk" / "models"
    with pytest.raises(RootMissing, match=str(root)) as caught:
        prepare_folder(root, LORAS)
    assert "mount" in caught.value.hint
    assert not (tmp_path / "mnt").exists()


def test_the_default_root_is_made(tmp_path: Path) -> None:
    folder = prepare_folder(tmp_path / "data" / "models", LORAS, create_root=True)
    assert folder.is_dir()


def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("x")
    with pytest.raises(NotAFolder, match="is a file"):
        prepare_folder(tmp_path / "root", LORAS, create_root=True)
    with pytest.raises(NotAFolder, match=str(tmp_path / "root")):
        prepare_folder(tmp_path / "root" / "models", LORAS, create_root=True)


def test_a_file_in_the_way_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("mine")
    with pytest.raises(NotAFolder, match=f"{tmp_path}/models is a file"):
        prepare_folder(tmp_path, LORAS)
    assert (tmp_path / "models").read_text() == "mine"


def test_a_users_link_to_another_disk_is_followed(tmp_path: Path) -> None:
    root, disk = tmp_path / "root", tmp_path / "disk"
    root.mkdir()
    disk.mkdir()
    (root / "models").symlink_to(disk)
    assert prepare_folder(root, LORAS) == root / "models" / "Lora"
    assert (disk / "Lora").is_dir()


def test_a_link_to_an_unmounted_disk_is_not_filled_in(tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(tmp_path / "unmounted")
    with pytest.raises(RootMissing, match="unmounted"):
        prepare_folder(tmp_path, LORAS)
    assert not (tmp_path / "unmounted").exists()


def test_a_link_in_circles_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to("models")
    with pytest.raises(DiskError):
        prepare_folder(tmp_path, LORAS)


def test_a_read_only_root_is_told_before_anything_is_downloaded(read_only_folder: Path) -> None:
    for relative in (LORAS, PurePosixPath(".")):
        with pytest.raises(FolderNotWritable, match=str(read_only_folder)):
            prepare_folder(read_only_folder, relative)


def test_a_name_too_long_for_the_disk_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="too long"):
        prepare_folder(tmp_path, PurePosixPath("x" * 300))


@pytest.mark.parametrize("relative", ["/etc", "../x", "a/../../b"])
def test_a_path_out_of_the_root_is_a_mistake_of_the_caller(tmp_path: Path, relative: str) -> None:
    with pytest.raises(ValueError, match="not a path inside the root"):
        prepare_folder(tmp_path, PurePosixPath(relative))

"""The walk over real folders: order, links, loops, ignored, hidden and unfinished files."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.services.index.walk import Scope, Walk

SIZE = 2048


def put(root: Path, *paths: str) -> None:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * SIZE)


def paths(walk: Walk) -> list[str]:
    found = [item[0] for chunk in walk.chunks() for item in chunk]
    return found + [seen.path for seen in walk.odd]


def names(root: Path, **settings: object) -> list[str]:
    return paths(Walk(root, **settings))  # type: ignore[arg-type]


def test_paths_come_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    put(tmp_path, "a/x.ckpt", "a-b.ckpt", "a.ckpt", "a0.ckpt", "a/b/c.ckpt", "é/x.ckpt", "z/x.ckpt")
    found = names(tmp_path)
    assert found == sorted(found, key=lambda path: path.encode())
    assert len(found) == 7


_NAMES = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/\0"),
    min_size=1,
    max_size=8,
).filter(lambda name: name[0] != "." and len(name.encode()) < 100)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(_NAMES, min_size=1, max_size=4), min_size=1, max_size=12))
def test_any_names_come_in_the_order_of_their_bytes(
    tmp_path_factory: pytest.TempPathFactory, trees: Iterable[list[str]]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    wanted = set()
    for parts in trees:
        path = "/".join([f"{part}_" for part in parts[:-1]] + [f"{parts[-1]}.ckpt"])
        try:
            put(root, path)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
        wanted.add(path)
    found = names(root)
    assert found == sorted(wanted, key=lambda path: path.encode())


def test_only_models_are_listed(tmp_path: Path) -> None:
    put(tmp_path, "a.safetensors", "b.CKPT", "c.gguf", "notes.txt", "preview.png", "d.json", "e")
    assert names(tmp_path) == ["a.safetensors", "b.CKPT", "c.gguf"]


def test_what_trainers_leave_beside_a_model_is_too_small(tmp_path: Path) -> None:
    (tmp_path / "training_args.bin").write_bytes(b"x" * 500)
    (tmp_path / "cut.safetensors").write_bytes(b"")
    (tmp_path / "embedding.pt").write_bytes(b"x" * 4000)
    assert names(tmp_path) == ["cut.safetensors", "embedding.pt"]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, ".hidden.ckpt", ".cache/a.ckpt", "a/.git/x.ckpt", "b.ckpt")
    assert names(tmp_path) == ["b.ckpt"]


def test_downloads_under_way_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "a.ckpt.part", "b.ckpt.crdownload", "c.ckpt.tmp", "d.ckpt~", "e.ckpt", "g.ckpt")
    put(tmp_path, "e.ckpt.aria2")
    (tmp_path / "f.ckpt").write_bytes(b"")
    put(tmp_path, "f.Ab12Cd.ckpt.part")
    walk = Walk(tmp_path)
    assert paths(walk) == ["g.ckpt"]
    assert walk.held == {"e.ckpt", "f.ckpt"}


def test_what_is_no_regular_file_is_passed_by(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ckpt")
    (tmp_path / "device.ckpt").symlink_to("/dev/zero")
    (tmp_path / "folder.ckpt").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket is short
        try:
            server.bind("socket.ckpt")
        finally:
            os.chdir(here)
        put(tmp_path, "a.ckpt")
        assert names(tmp_path) == ["a.ckpt"]


def test_fifty_levels_of_folders(tmp_path: Path) -> None:
    deep = "/".join(f"level{number}" for number in range(80))
    put(tmp_path, f"{deep}/a.ckpt", "level0/b.ckpt", "level0/level1/z.ckpt", "z.ckpt")
    assert len(names(tmp_path)) == 4


def test_links_to_other_places_are_followed_once(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    put(elsewhere, "a.ckpt", "sub/b.ckpt")
    put(root, "c.ckpt")
    (root / "link").symlink_to(elsewhere)
    (root / "link2").symlink_to(elsewhere / "sub")
    (root / "file.ckpt").symlink_to(elsewhere / "a.ckpt")
    walk = Walk(root)
    assert paths(walk) == ["c.ckpt", "file.ckpt", "link/a.ckpt", "link/sub/b.ckpt"]
    assert walk.links == {str(elsewhere): "link/"}
    assert names(root, follow_links=False) == ["c.ckpt"]


@pytest.mark.parametrize("target", [".", "..", "../..", "sub", "/"])
def test_a_link_that_makes_a_loop_ends_nowhere(tmp_path: Path, target: str) -> None:
    root = tmp_path / "root"
    put(root, "a.ckpt", "sub/b.ckpt")
    (root / "sub" / "loop").symlink_to(target if target != "sub" else root / "sub")
    assert names(root) == ["a.ckpt", "sub/b.ckpt"]


def test_loops_outside_the_root_end_too(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    put(elsewhere, "x/a.ckpt")
    root.mkdir()
    (elsewhere / "x" / "up").symlink_to(elsewhere)
    (elsewhere / "x" / "self").symlink_to("self")
    (root / "link").symlink_to(elsewhere)
    assert names(root) == ["link/x/a.ckpt"]


def test_a_link_that_leads_nowhere_keeps_what_is_known_below_it(tmp_path: Path) -> None:
    (tmp_path / "loras").symlink_to("/nowhere/loras")
    walk = Walk(tmp_path)
    assert paths(walk) == []
    assert walk.unreadable == ["loras/"]


def test_other_roots_are_left_to_themselves(tmp_path: Path) -> None:
    put(tmp_path, "inner/a.ckpt", "b.ckpt")
    assert names(tmp_path, others=frozenset([str(tmp_path / "inner")])) == ["b.ckpt"]


def test_ignore_files_hold_as_git_has_it(tmp_path: Path) -> None:
    put(
        tmp_path,
        "a.ckpt",
        "old/b.ckpt",
        "x/old/c.ckpt",
        "x/d.ckpt",
        "x/keep.pt",
        "x/e.pt",
        "top.pt",
    )
    put(tmp_path, "x/y/top.ckpt", "x/y/z.ckpt")
    (tmp_path / ".modelhubignore").write_text("# mine\nold/\n*.pt\n/x/y/top.*\n")
    (tmp_path / "x" / ".modelhubignore").write_text("!keep.pt\nz.ckpt\n")
    assert names(tmp_path) == ["a.ckpt", "x/d.ckpt", "x/keep.pt"]


def test_patterns_of_the_settings_hold_before_those_of_files(tmp_path: Path) -> None:
    put(tmp_path, "a.ckpt", "b.ckpt")
    (tmp_path / ".modelhubignore").write_text("!a.ckpt\n")
    assert names(tmp_path, ignore=("*.ckpt",)) == ["a.ckpt"]


def test_a_pattern_that_is_none_is_told_of_and_the_others_hold(tmp_path: Path) -> None:
    put(tmp_path, "a.ckpt", "b.ckpt")
    lines = ["!", "*a*a*a*a*a*a*a*a*a*b", "[z-a].ckpt", "b.ckpt", "x" * 5000]
    (tmp_path / ".modelhubignore").write_text("\n".join(lines))
    walk = Walk(tmp_path)
    assert paths(walk) == ["a.ckpt"]
    assert [notice.partition(": ")[0] for notice in walk.notices] == [
        f".modelhubignore, line {number}" for number in (1, 2, 3, 5)
    ]


def test_shards_are_parts_of_the_first_one(tmp_path: Path) -> None:
    shards = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    put(tmp_path, *shards, "other.safetensors")
    found = [item for chunk in Walk(tmp_path).chunks() for item in chunk]
    assert {item[0]: item[4] for item in found} == {
        shards[0]: None,
        shards[1]: shards[0],
        shards[2]: shards[0],
        "other.safetensors": None,
    }


def test_a_diffusers_folder_is_one_model(tmp_path: Path) -> None:
    put(
        tmp_path,
        "pipe/unet/model.safetensors",
        "pipe/vae/model.safetensors",
        "pipe/text_encoder/model.safetensors",
        "pipe/samples/lora.safetensors",
        "pipe/single.safetensors",
    )
    (tmp_path / "pipe" / "model_index.json").write_text(
        '{"_class_name": "X", "unet": ["diffusers", "U"], "vae": ["diffusers", "V"],'
        ' "text_encoder": ["transformers", "T"], "../evil": ["a", "b"]}'
    )
    walk = Walk(tmp_path)
    found = {item[0]: item[4] for chunk in walk.chunks() for item in chunk}
    main = "pipe/unet/model.safetensors"
    assert found == {
        main: None,
        "pipe/vae/model.safetensors": main,
        "pipe/text_encoder/model.safetensors": main,
        "pipe/samples/lora.safetensors": None,
        "pipe/single.safetensors": None,
    }
    assert walk.pipelines == {main}


def test_a_part_of_a_root_is_walked_by_the_rules_of_the_whole(tmp_path: Path) -> None:
    put(tmp_path, "a/b/x.ckpt", "a/b/y.pt", "a/z.ckpt", "old/q.ckpt", ".h/w.ckpt")
    (tmp_path / ".modelhubignore").write_text("old/\n*.pt\n")
    assert names(tmp_path, scope=Scope(folder="a/b/")) == ["a/b/x.ckpt"]
    assert names(tmp_path, scope=Scope(folder="old/")) == []
    assert names(tmp_path, scope=Scope(folder=".h/")) == []
    assert names(tmp_path, scope=Scope(folder="gone/")) == []
    only = Scope(folder="a/b/", names=frozenset(["x.ckpt", "y.pt", "no.ckpt"]))
    assert names(tmp_path, scope=only) == ["a/b/x.ckpt"]

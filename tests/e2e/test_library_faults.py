"""A library full of files that are damaged, hostile or no files at all, and the whole program."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.hostile_files import Hostile, hostile_files
from tests.services.index.shelf import lora

from .conftest import Program
from .library import listed, put, rest, run, say_of

HOSTILE = {one.name: one for one in hostile_files()}
NOT_UTF8 = os.fsdecode(b"caf\xe9 \xff.safetensors")
ESCAPES = "line\nbreak \x1b[2J\x1b]0;owned\x07.safetensors"
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
DEEPEST = "/".join(f"level {number}" for number in range(50)) + "/deep.safetensors"


@pytest.fixture
def library(program: Program) -> Program:
    program.variables |= {"MODELHUB_INDEX_SETTLE": "0.2", "MODELHUB_SIDECARS_WRITE": ""}
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root reads everything, and there is no setpriv to hinder it")
    return program


def put_hostile(root: Path, chosen: dict[str, Hostile] = HOSTILE) -> None:
    for one in chosen.values():
        one.write(root / one.name)


def put_no_files(root: Path) -> None:
    """What has a model's name, and is no file."""
    os.mkfifo(root / "pipe.safetensors")
    (root / "folder.safetensors").mkdir()
    (root / "itself.safetensors").symlink_to("itself.safetensors")
    (root / "nowhere.safetensors").symlink_to(root / "gone.safetensors")
    (root / "device.safetensors").symlink_to("/dev/zero")
    if os.geteuid() == 0:
        os.mknod(root / "node.safetensors", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    with socket.socket(socket.AF_UNIX) as server:
        # Only a short path can be bound: one by way of the open folder.
        folder = os.open(root, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{folder}/socket.safetensors")
        os.close(folder)


def put_good(root: Path) -> dict[str, Path]:
    """Models in places where they are hard to find, by their names in the catalog."""
    put(root, "plain.safetensors", lora(1))
    put(root, NOT_UTF8, lora(2))
    put(root, ESCAPES, lora(3))
    put(root, DEEPEST, lora(4))
    put(root, "inner/root.safetensors", lora(5))
    (root / "loop").symlink_to(root)
    (root / "inner" / "up").symlink_to("..")
    names = ["plain.safetensors", NOT_UTF8, ESCAPES, DEEPEST, "inner/root.safetensors"]
    return {name: root / name for name in names}


def test_a_folder_of_all_bad_files_is_indexed_with_its_good_ones(library: Program) -> None:
    root = library.root
    put_hostile(root)
    put_no_files(root)
    good = put_good(root)
    put(root, "locked.safetensors", lora(6)).chmod(0)
    put(root, "shut/away.safetensors", lora(7))
    rest(root)
    (root / "shut").chmod(0)
    run(library, "root", "add", str(root / "inner"))

    try:
        ended = run(library, "index", str(root), str(root / "inner"), "--json")
        again = run(library, "index", "--json")
        listed = run(library, "list", "--json", "--limit", "0")
    finally:
        (root / "shut").chmod(0o755)

    assert ended.code == 0, ended.err
    report = ended.document
    faults = {Path(fault["path"]).name: fault["reason"] for fault in report["faults"]}
    assert Counter(Path(one["path"]).name for one in report["faults"]) == Counter(
        [*HOSTILE, "locked.safetensors"]
    )
    for name, one in HOSTILE.items():
        assert re.search(one.reason, faults[name]), (name, faults[name])
        assert bool(re.search(r"\(at byte [\d,]+\)$", faults[name])) == one.offset, faults[name]
    assert "Permission denied" in faults["locked.safetensors"]
    assert report["unreadable"] == [str(root / "shut")]
    assert ended.seconds < 60
    assert ended.most_memory < 640 << 20

    assert again.code == 0, again.err
    assert again.document["unchanged"] == len(HOSTILE) + len(good) + 1
    assert (again.document["new"], again.document["faults"]) == (0, [])
    assert again.seconds < 10

    rows = {row["file"]: row for row in listed.document}
    assert len(rows) == len(HOSTILE) + len(good) + 1
    for path in good.values():
        assert (rows[str(path)]["type"], rows[str(path)]["state"]) == ("lora", "hashed"), path
    assert run(library, "doctor", "--offline").code == 0


@pytest.mark.parametrize("command", ["inspect", "hash"])
def test_each_bad_file_given_by_name_ends_with_its_reason(library: Program, command: str) -> None:
    """The two commands on single files: an answer, or one error line and a hint; no waiting."""
    root = library.root
    put_no_files(root)
    put(root, "locked.safetensors", lora(6)).chmod(0)
    expected = {
        "pipe.safetensors": "no regular file, but a FIFO",
        "socket.safetensors": "no regular file, but a socket",
        "device.safetensors": "no regular file, but a device",
        "folder.safetensors": "folder",
        "itself.safetensors": "symbolic links",
        "nowhere.safetensors": "nowhere.safetensors",
        "locked.safetensors": "Permission denied",
    }
    for name, reason in expected.items():
        ended = run(library, command, str(root / name), timeout=20)
        assert ended.code in (1, 3, 7), (name, ended.err)
        assert "Traceback" not in ended.err
        assert reason in ended.err, (name, ended.err)
        assert ended.out in ("", "[]\n"), name


def test_hostile_files_are_inspected_in_bounded_time_and_memory(library: Program) -> None:
    for name in ("bomb.ckpt", "opcodes.ckpt", "a million tensors.safetensors", "tensors.gguf"):
        one = HOSTILE[name]
        path = library.root / name
        one.write(path)
        ended = run(library, "inspect", str(path), timeout=30)
        assert ended.code == 1
        assert re.search(one.reason, ended.err)
        assert ended.seconds < 15
        assert ended.most_memory < 640 << 20


def test_names_cannot_drive_the_terminal(library: Program) -> None:
    root = library.root
    good = put_good(root)
    put(root, "cut \x1b[31m\n.safetensors", lora(9)[:300])
    rest(root)
    for arguments in (
        ["index"],
        ["list"],
        ["list", "--format", "csv"],
        ["list", "--json"],
        ["show", str(good[ESCAPES])],
        ["show", str(good[NOT_UTF8]), "--json"],
        ["inspect", str(good[ESCAPES])],
        ["inspect", "--json", str(good[NOT_UTF8])],
        ["hash", str(good[ESCAPES]), str(good[NOT_UTF8])],
        ["hash", "--only", "sha256", str(good[ESCAPES])],
        ["tag", str(good[ESCAPES]), "odd"],
        ["tag", str(good[NOT_UTF8]), "odd"],
        ["list", "tag:odd"],
        ["export"],
    ):
        ended = run(library, *arguments)
        assert ended.code == 0, (arguments, ended.err)
        for text in (ended.out, ended.err):
            assert not CONTROLS.search(text), (arguments, text)
            assert not re.search(r"^(break|\.safetensors)", text, re.M), (arguments, text)
            text.encode()  # what a pipe gets is UTF-8
        if "--json" in arguments:
            json.loads(ended.out)
        elif arguments != ["export"]:
            assert "//e9" not in ended.out, "the catalog's spelling of bytes is not the user's"
    rows = listed(library)
    assert set(rows) == {*good, "cut \x1b[31m\n.safetensors"}
    assert {name for name, row in rows.items() if row["tags"]} == {ESCAPES, NOT_UTF8}


def test_a_watch_survives_all_bad_files_and_takes_the_good_one(library: Program) -> None:
    process = library.start("watch", str(library.root))
    try:
        time.sleep(1)
        small = {name: one for name, one in HOSTILE.items() if "million" not in name}
        put_hostile(library.root, small)
        put_no_files(library.root)
        put_good(library.root)
        deadline = time.monotonic() + 60
        while len(rows := listed(library, "state:hashed")) < len(small) + 5:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, sorted({*small} - {*rows})
            time.sleep(0.5)
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode in (0, 130)
    assert "Traceback" not in err
    assert {name: row["fault"] is not None for name, row in rows.items()} == {
        **dict.fromkeys(small, True),
        **dict.fromkeys(("plain.safetensors", NOT_UTF8, ESCAPES, DEEPEST), False),
        "inner/root.safetensors": False,
    }


def test_hostile_sidecars_are_told_of_and_left_alone(library: Program) -> None:
    root = library.root
    deep = b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    sidecars = {
        "deep.civitai.info": deep,
        "other.metadata.json": deep,
        "large.txt": b"x" * (32 << 20),
        "binary.json": bytes(4096),
        "words.txt": b"\xff\xfe\x00caf\xe9",
    }
    for number, (name, content) in enumerate(sidecars.items()):
        put(root, name, content)
        put(root, f"{name.split('.')[0]}.safetensors", lora(number))
    put(root, "pipe.safetensors", lora(10))
    os.mkfifo(root / "pipe.txt")
    put(root, "endless.safetensors", lora(11))
    (root / "endless.civitai.info").symlink_to("/dev/zero")
    put(root, "good.safetensors", lora(12))
    put(root, "good.txt", b"at 0.7")
    rest(root)

    ended = run(library, "adopt", str(root), timeout=30)

    assert ended.code == 0, ended.err
    for name in (*sidecars, "pipe.txt", "endless.civitai.info"):
        assert ended.err.count(f"/{name} ") == 1, ended.err
    rows = listed(library)
    assert {row["state"] for row in rows.values()} == {"hashed"}
    assert len(rows) == len(sidecars) + 3
    assert say_of(library, "note", str(root / "good.safetensors")) == "at 0.7\n"


@pytest.mark.parametrize("content", [b"\0" * 4096, b"[" * 100_000, b'{"modelhub":1}\n', b""])
def test_an_import_of_no_export_changes_nothing(library: Program, content: bytes) -> None:
    ended = run(library, "import", str(put(library.folder, "words.jsonl", content)), timeout=20)
    assert (ended.code, ended.out) == (2, "")
    assert "error: " in ended.err
    assert "nothing was imported" in ended.err

"""`modelhub hash`: right hashes, honest claims, and one line for what cannot be read."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path

import blake3
import pytest

from modelhub.formats.hashes import AUTOV1_LENGTH, AUTOV1_START
from modelhub.formats.safetensors import read_safetensors
from tests.cli.conftest import Cli
from tests.formats.written import around, safetensors_header

LORA = {f"lora_unet_{number}.lora_down.weight": ("F16", (300, 1000)) for number in range(4)}
DATA = hashlib.shake_256(b"trained").digest(300 * 1000 * 2 * 4)
TRAINING = {"ss_network_dim": "16", "ss_tag_frequency": '{"10_cat": {"a \\"cat\\" é": 3}}'}


def padded(header: bytes) -> bytes:
    return header + b" " * (-len(header) % 8)


def by_kohya(extra: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """A LoRA as the trainer writes it: hashed with its own metadata, saved with more."""
    trained = around(padded(safetensors_header(LORA, TRAINING)), DATA)
    claims = {
        "sshs_model_hash": hashlib.sha256(DATA).hexdigest(),
        "sshs_legacy_hash": hashlib.sha256(
            trained[AUTOV1_START : AUTOV1_START + AUTOV1_LENGTH]
        ).hexdigest()[:8],
    }
    metadata = TRAINING | claims | dict(extra)
    return around(padded(safetensors_header(LORA, metadata)), DATA), claims


def test_all_hashes_are_printed_as_civitai_writes_them(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    data, _ = by_kohya({})
    path.write_bytes(data)

    ended = cli("--quiet", "hash", str(path), "--json")

    assert ended.code == 0
    (document,) = json.loads(ended.out)
    assert document["file"] == str(path)
    assert document["size"] == len(data)
    sha256 = hashlib.sha256(data).hexdigest().upper()
    assert document["hashes"] == {
        "sha256": sha256,
        "autov1": hashlib.sha256(data[AUTOV1_START : AUTOV1_START + AUTOV1_LENGTH])
        .hexdigest()[:8]
        .upper(),
        "autov2": sha256[:10],
        "autov3": hashlib.sha256(DATA).hexdigest()[:12].upper(),
        "blake3": blake3.blake3(data).hexdigest().upper(),
        "crc32": f"{zlib.crc32(data):08X}",
    }


@pytest.mark.parametrize("note", ["", "a thumbnail that some tool put in", "é" * 5000])
def test_what_the_trainer_hashed_is_checked_whatever_metadata_were_added(
    cli: Cli, tmp_path: Path, note: str
) -> None:
    path = tmp_path / "lora.safetensors"
    data, claims = by_kohya({"modelspec.thumbnail": note})
    path.write_bytes(data)

    ended = cli("hash", str(path), "--json")

    assert ended.code == 0
    assert json.loads(ended.out)[0]["claims"] == [
        {"name": name, "claimed": value.upper(), "agrees": True, "remark": ""}
        for name, value in claims.items()
    ]


def test_tensors_that_are_not_the_trainers_end_with_code_5(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    data = bytearray(by_kohya({})[0])
    data[-1] ^= 1
    path.write_bytes(data)

    ended = cli("hash", str(path))

    assert ended.code == 5
    assert "sshs_model_hash:  differs: the tensors were changed" in ended.out


def test_edited_training_metadata_are_told_apart_from_damage(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    data, _ = by_kohya({"ss_training_comment": "added much later"})
    path.write_bytes(data)

    ended = cli("hash", str(path))

    assert ended.code == 0
    assert "sshs_model_hash:  agrees" in ended.out
    assert "sshs_legacy_hash: differs: the metadata were edited" in ended.out


def test_the_hash_of_nothing_claims_nothing(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    claims = {"sshs_model_hash": hashlib.sha256().hexdigest(), "sshs_legacy_hash": "e3b0c442"}
    path.write_bytes(around(safetensors_header(LORA, claims), DATA))
    ended = cli("hash", str(path))
    assert ended.code == 0
    assert ended.out.count("not checked: it is the hash of nothing") == 2


def test_only_one_hash_is_printed_so_that_sha256sum_can_check_it(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(b"anything")
    ended = cli("--quiet", "hash", "--only", "sha256", str(path))
    checked = subprocess.run(
        ["sha256sum", "--check"], input=ended.out, capture_output=True, text=True, check=True
    )
    assert checked.stdout == f"{path}: OK\n"


def test_a_file_that_cannot_be_read_gets_a_line_and_the_others_their_hashes(
    cli: Cli, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "good").write_bytes(b"x")

    ended = cli(
        "--quiet",
        "hash",
        *(str(tmp_path / name) for name in ("missing", "fifo", "good")),
        str(tmp_path),
    )

    assert ended.code == 7
    assert hashlib.sha256(b"x").hexdigest().upper() in ended.out
    errors = [line for line in ended.err.splitlines() if "error:" in line]
    assert len(errors) == 3
    assert "is no regular file, but a FIFO" in errors[1]


def test_a_damaged_header_does_not_keep_the_file_from_being_hashed(
    cli: Cli, tmp_path: Path
) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(by_kohya({})[0][:-100])
    ended = cli("--quiet", "hash", str(path), "--json")
    assert ended.code == 0
    assert json.loads(ended.out)[0]["claims"] == []


def test_a_name_with_escapes_cannot_drive_the_terminal(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m\n.ckpt"
    path.write_bytes(b"x")
    ended = cli("--quiet", "hash", str(path))
    assert "\x1b" not in ended.out
    assert "a\\x1b[31m\\n.ckpt" in ended.out


def test_ctrl_c_ends_it_cleanly_and_keeps_what_was_done(home: Path, tmp_path: Path) -> None:
    (tmp_path / "small.ckpt").write_bytes(b"x")
    with (tmp_path / "endless.ckpt").open("wb") as file:
        file.truncate(1 << 40)
    with subprocess.Popen(
        [sys.executable, "-m", "modelhub", "hash", "small.ckpt", "endless.ckpt"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while "endless.ckpt: hash" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert hashlib.sha256(b"x").hexdigest().upper() in out
    assert "Traceback" not in err


def test_the_description_used_here_is_a_real_file() -> None:
    data, _ = by_kohya({})
    with (Path("/dev/null")).open("rb") as nothing:
        assert len(read_safetensors(nothing, len(data), data).tensors) == 4

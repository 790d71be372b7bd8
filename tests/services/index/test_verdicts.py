"""Pickles are scanned while headers are read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modelhub.catalog import FileState
from modelhub.services.index import Happened, Unsafe

from .shelf import Library

DATA = Path(__file__).parents[2] / "data"
DANGEROUS = (DATA / "pickles" / "malicious0.pkl").read_bytes()
SUSPICIOUS = (DATA / "torch" / "script.pt").read_bytes()
SAFE = (DATA / "torch" / "zip.pt").read_bytes()


def test_an_index_scans_every_file_that_can_carry_pickles(library: Library) -> None:
    evil = library.put("evil.ckpt", DANGEROUS)
    odd = library.put("odd.pt", SUSPICIOUS)
    library.put("good.pt", SAFE)
    library.put("plain.safetensors")
    report = library.index()
    assert (report.suspicious, report.dangerous) == (1, 1)
    assert report.unsafe == (Unsafe(evil, "dangerous"), Unsafe(odd, "suspicious"))
    verdicts = {row.path: row.verdict for row in library.rows()}
    assert verdicts == {
        "evil.ckpt": "dangerous",
        "odd.pt": "suspicious",
        "good.pt": "safe",
        "plain.safetensors": None,
    }
    told = {(one.path, one.detail) for one in library.told if one.what is Happened.UNSAFE}
    assert told == {(evil, "dangerous"), (odd, "suspicious")}
    assert library.row("evil.ckpt").state is FileState.HASHED
    assert evil.read_bytes() == DANGEROUS


def test_a_file_that_is_broken_is_scanned_up_to_the_break(library: Library) -> None:
    library.put("broken.ckpt", b"\x80\x02cos\nsystem\n(S'true'\ntR\xff\xff" + bytes(2_000))
    assert library.index().dangerous == 1
    row = library.row("broken.ckpt")
    assert row.verdict == "dangerous"


def test_a_pickle_that_is_called_safetensors_is_scanned(library: Library) -> None:
    library.put("evil.safetensors", DANGEROUS)
    library.index()
    assert library.paths("verdict:dangerous") == ["evil.safetensors"]


def test_each_shard_is_scanned(library: Library) -> None:
    library.put("m-00001-of-00002.bin", SAFE)
    library.put("m-00002-of-00002.bin", DANGEROUS + bytes(2_000))
    report = library.index()
    assert report.dangerous == 1
    assert library.paths("verdict:dangerous") == ["m-00001-of-00002.bin"]
    [part] = library.catalog.show(library.row("m-00001-of-00002.bin").id).parts
    assert part.verdict == "dangerous"


def put_pipeline(library: Library, vae: str, data: bytes | None = None) -> None:
    index = {"_class_name": "X", "unet": ["diffusers", "U"], "vae": ["diffusers", "V"]}
    library.put("sd/model_index.json", json.dumps(index).encode())
    library.put("sd/unet/diffusion_pytorch_model.safetensors")
    library.put(f"sd/vae/{vae}", data)
    for name in ("unet", "vae"):
        library.put(f"sd/{name}/config.json", b"{}")


def test_each_part_of_a_diffusers_folder_is_scanned(library: Library) -> None:
    put_pipeline(library, "diffusion_pytorch_model.bin", DANGEROUS + bytes(2_000))
    library.index()
    [row] = library.rows()
    assert (row.format, row.verdict) == ("diffusers", "dangerous")


def test_a_model_of_several_safetensors_files_is_as_safe_as_one(library: Library) -> None:
    put_pipeline(library, "diffusion_pytorch_model.safetensors")
    library.put("m-00001-of-00002.safetensors")
    library.put("m-00002-of-00002.safetensors")
    assert library.index().unsafe == ()
    assert {row.format: row.unsafe for row in library.rows()} == {
        "safetensors": False,
        "diffusers": False,
    }
    assert library.paths("unsafe:no verdict:safe") == [
        "sd/unet/diffusion_pytorch_model.safetensors"
    ]


def test_a_folder_with_a_suspicious_part_is_not_safe(library: Library) -> None:
    put_pipeline(library, "diffusion_pytorch_model.bin", SUSPICIOUS)
    library.index()
    assert library.paths("unsafe:no") == []
    assert library.paths("verdict:suspicious") == ["sd/unet/diffusion_pytorch_model.safetensors"]


def test_unchanged_files_are_scanned_again_by_better_rules_and_no_others(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.put("a.pt", SAFE)
    library.put("plain.safetensors")
    library.index()
    assert library.index().reread == 0
    from modelhub.formats.scan import SCANNER
    from modelhub.services.index import scan

    monkeypatch.setattr(scan, "SCANNER", SCANNER + 1)
    assert library.index(processes=1).reread == 1
    assert library.index().reread == 0


def test_a_library_of_before_is_scanned_by_the_next_index(library: Library) -> None:
    library.put("evil.ckpt", DANGEROUS)
    library.index()
    with library.catalog._store.write() as writer:
        for statement in (
            "DELETE FROM scans",
            "UPDATE blobs SET pickle_verdict = NULL",
            "UPDATE roots SET verdicts_by = NULL",
        ):
            writer.connection.exec_driver_sql(statement)
        writer.files_changed([library.row("evil.ckpt").id])
    assert library.row("evil.ckpt").unsafe is None
    report = library.index()
    assert (report.reread, report.dangerous) == (1, 1)
    assert library.row("evil.ckpt").verdict == "dangerous"


def test_a_name_that_is_no_text_is_scanned_again_as_well(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelhub.formats.scan import SCANNER
    from modelhub.services.index import scan

    odd = os.fsdecode(b"\xff\xfe.ckpt")
    library.put(odd, DANGEROUS)
    library.index()
    monkeypatch.setattr(scan, "SCANNER", SCANNER + 1)
    assert library.index().reread == 1


def test_tensors_alone_never_load_the_scanner(library: Library) -> None:
    file = library.put("plain.safetensors")
    script = (
        "import sys; from pathlib import Path;"
        "from modelhub.services.index.contents import found_in;"
        f"assert found_in(Path({str(file)!r})).kind == 'lora';"
        "print([name for name in sys.modules if name.startswith('modelhub.formats.scan')])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_file_copied_out_of_quarantine_is_a_file_of_its_own(library: Library) -> None:
    from modelhub.services.scan import quarantine_file

    file = library.put("evil.ckpt", DANGEROUS)
    library.index()
    held = quarantine_file(library.catalog, file)
    shutil.copy2(held, file)
    library.index()
    assert library.states() == {
        "evil.ckpt": FileState.HASHED,
        ".modelhub/quarantine/evil.ckpt.quarantined": FileState.QUARANTINED,
    }

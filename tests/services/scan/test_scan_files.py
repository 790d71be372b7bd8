"""Scanning files and folders, and keeping the verdicts."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from modelhub.errors import Cancelled, FileUnreadable, UnknownFile
from modelhub.progress import silent
from modelhub.services.scan import FailedScan, Scanned, report_document, scan_files, targets_of
from tests.services.index.shelf import OLD, Library, lora

from .conftest import DANGEROUS, SAFE, SUSPICIOUS


def scanned(library: Library, *targets: Path) -> dict[str, Scanned | FailedScan]:
    found = scan_files(targets, catalog=library.catalog, listener=silent, cancel=threading.Event())
    return {one.path.name: one for one in found}


def test_all_files_of_a_folder_are_looked_at_whatever_they_are_called(library: Library) -> None:
    library.put("sub/evil.txt", DANGEROUS)
    library.put(".cache/hidden", DANGEROUS)
    library.put("good.ckpt", SAFE)
    library.put("plain.safetensors", lora(1))
    library.put(".modelhub/quarantine/held.ckpt.quarantined", DANGEROUS)
    found = scanned(library, library.root)
    verdicts = {name: one.verdict for name, one in found.items() if isinstance(one, Scanned)}
    assert verdicts == {
        "evil.txt": "dangerous",
        "hidden": "dangerous",
        "good.ckpt": "safe",
        "plain.safetensors": "safe",
    }
    plain = found["plain.safetensors"]
    assert isinstance(plain, Scanned)
    assert plain.report is None


def test_a_verdict_on_a_file_of_the_catalog_is_kept(library: Library) -> None:
    file = library.put("odd.ckpt", lora(1))
    library.index()
    file.write_bytes(SUSPICIOUS)
    os.utime(file, ns=(OLD, OLD))
    assert not _recorded(scanned(library, file)["odd.ckpt"])  # it is another file by now
    library.index()
    library.catalog.record_verdicts([])
    assert _recorded(scanned(library, file)["odd.ckpt"])
    details = library.catalog.show(library.row("odd.ckpt").id)
    assert details.row.verdict == "suspicious"
    assert details.scan["findings"]


def _recorded(one: Scanned | FailedScan) -> bool:
    assert isinstance(one, Scanned)
    return one.recorded


def test_a_file_outside_the_library_is_scanned_and_not_kept(
    library: Library, tmp_path: Path
) -> None:
    file = tmp_path / "elsewhere.ckpt"
    file.write_bytes(DANGEROUS)
    assert not _recorded(scanned(library, file)["elsewhere.ckpt"])


def test_one_that_cannot_be_read_hinders_none_of_the_others(
    library: Library, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.ckpt")
    good = library.put("good.ckpt", SAFE)
    found = scanned(library, tmp_path / "pipe.ckpt", tmp_path / "gone.ckpt", good)
    errors = {name: one.error for name, one in found.items() if isinstance(one, FailedScan)}
    assert isinstance(errors["pipe.ckpt"], FileUnreadable)
    assert "FIFO" in errors["pipe.ckpt"].message
    assert isinstance(errors["gone.ckpt"], UnknownFile)
    assert isinstance(found["good.ckpt"], Scanned)


def test_files_are_named_by_path_by_the_catalog_and_by_query(library: Library) -> None:
    library.put("evil.ckpt", DANGEROUS)
    library.put("m-00001-of-00002.safetensors")
    library.put("m-00002-of-00002.safetensors")
    library.index()
    targets = targets_of(library.catalog, ["evil"], "path:m-00001")
    assert [path.name for path in targets] == [
        "evil.ckpt",
        "m-00001-of-00002.safetensors",
        "m-00002-of-00002.safetensors",
    ]
    with pytest.raises(UnknownFile):
        targets_of(library.catalog, ["no-such-model"], None)


def test_ctrl_c_stops_between_two_files(library: Library) -> None:
    library.put("a.ckpt", SAFE)
    library.put("b.ckpt", SAFE)
    cancel = threading.Event()
    scans = scan_files([library.root], catalog=None, listener=silent, cancel=cancel)
    next(scans)
    cancel.set()
    with pytest.raises(Cancelled):
        next(scans)


def test_a_report_leaves_out_what_every_checkpoint_names(library: Library) -> None:
    one = scanned(library, library.put("good.ckpt", SAFE))["good.ckpt"]
    assert isinstance(one, Scanned)
    assert one.report is not None
    assert one.report.findings
    document = report_document(one.report)
    assert (document["verdict"], document["findings"], document["left_out"]) == ("safe", [], 0)


def test_a_report_of_countless_findings_is_bounded(library: Library) -> None:
    names = b"".join(b"cunheard_of\nname%d\n0" % number for number in range(700))
    one = scanned(library, library.put("many.ckpt", b"\x80\x02" + names + b"N."))["many.ckpt"]
    assert isinstance(one, Scanned)
    assert one.report is not None
    document = report_document(one.report)
    listed = len(document["findings"]) + len(document["faults"])
    assert 0 < listed <= 1_000
    assert len(json.dumps(document)) < 1 << 20

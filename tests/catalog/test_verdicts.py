"""Verdicts on pickles: kept with the content, shown, searched, and made anew by later rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelhub.catalog import Catalog, FileState, Found, Verdict
from modelhub.catalog.scanrows import Move

from .scans import hashed, known, row_of, scan, scanned
from .shelf import Shelf, blob, local

REPORT = json.dumps({"verdict": "dangerous", "scanner": 3, "findings": [{"name": "system"}]})
EVIL = Found(format="ckpt", kind="checkpoint", pickle_verdict="dangerous", scanner=3, scan=REPORT)
GOOD = Found(format="ckpt", pickle_verdict="safe", scanner=3, scan='{"verdict": "safe"}')


def test_a_verdict_is_shown_and_found_before_the_file_is_hashed(
    catalog: Catalog, root: int, shelf: Shelf
) -> None:
    scan(catalog, root, scanned("evil.ckpt", found=EVIL), scanned("good.ckpt", found=GOOD))
    scan(catalog, root, scanned("plain.safetensors", found=Found(format="safetensors")))
    scan(catalog, root, scanned("unread.ckpt"))
    row = row_of(catalog, "evil.ckpt")
    assert (row.verdict, row.unsafe) == ("dangerous", True)
    assert catalog.show(row.id).scan["findings"] == [{"name": "system"}]
    assert shelf.found("verdict:dangerous") == {"evil.ckpt"}
    assert shelf.found("verdict:safe") == {"good.ckpt"}
    assert shelf.found("verdict:none") == {"plain.safetensors", "unread.ckpt"}
    assert shelf.found("unsafe:unknown") == {"unread.ckpt"}
    assert shelf.found("unsafe:no") == {"good.ckpt", "plain.safetensors"}


def test_a_verdict_stays_with_the_content(catalog: Catalog, root: int) -> None:
    scan(catalog, root, scanned("evil.ckpt", found=EVIL))
    assert hashed(catalog, known(catalog, root)["evil.ckpt"], "evil")
    catalog.record_local_file(
        local("copy.ckpt"), blob=blob("evil")
    )  # found by its hash: nobody scanned this one
    for path in ("evil.ckpt", "copy.ckpt"):
        row = row_of(catalog, path)
        assert (row.verdict, row.unsafe) == ("dangerous", True)
        details = catalog.show(row.id)
        assert (details.pickle_verdict, details.scan["scanner"]) == ("dangerous", 3)


def test_suspicious_is_unsafe(shelf: Shelf) -> None:
    shelf.put("odd.ckpt", format="ckpt", pickle_verdict="suspicious", scanner=1, scan="{}")
    assert shelf.found("unsafe:yes") == {"odd.ckpt"}
    assert shelf.found("-verdict:none") == {"odd.ckpt"}


def test_a_model_in_several_files_has_the_verdict_of_its_worst(
    catalog: Catalog, root: int, shelf: Shelf
) -> None:
    scan(catalog, root, scanned("m-1-of-2.bin", found=GOOD))
    scan(catalog, root, scanned("m-2-of-2.bin", found=EVIL, part_of="m-1-of-2.bin"))
    row = row_of(catalog, "m-1-of-2.bin")
    assert row.verdict == "dangerous"
    assert [part.verdict for part in catalog.show(row.id).parts] == ["dangerous"]
    part = known(catalog, root)["m-2-of-2.bin"]
    assert hashed(catalog, part, "second")
    assert row_of(catalog, "m-1-of-2.bin").verdict == "dangerous"
    assert catalog.record_verdicts([Verdict(part.id, 1000, 5, "safe", 4, "{}")]) == [True]
    assert row_of(catalog, "m-1-of-2.bin").verdict == "safe"


@pytest.mark.parametrize("is_hashed", [False, True])
def test_a_later_verdict_replaces_an_earlier_one(
    catalog: Catalog, root: int, is_hashed: bool
) -> None:
    scan(catalog, root, scanned("a.ckpt", found=GOOD))
    file = known(catalog, root)["a.ckpt"]
    if is_hashed:
        assert hashed(catalog, file, "a")
    later = Verdict(file.id, 1000, 5, "dangerous", 4, '{"scanner": 4}')
    assert catalog.record_verdicts([later]) == [True]
    row = row_of(catalog, "a.ckpt")
    assert (row.verdict, row.format) == ("dangerous", "ckpt")
    assert catalog.show(row.id).scan == {"scanner": 4}


def test_a_verdict_on_a_file_that_changed_meanwhile_is_not_taken(
    catalog: Catalog, root: int
) -> None:
    scan(catalog, root, scanned("a.ckpt", found=GOOD))
    file = known(catalog, root)["a.ckpt"]
    stale = Verdict(file.id, 1000, 4, "dangerous", 4, "{}")
    gone = Verdict(file.id + 99, 1000, 5, "dangerous", 4, "{}")
    assert catalog.record_verdicts([stale, gone]) == [False, False]
    assert row_of(catalog, "a.ckpt").verdict == "safe"


def test_rules_of_old_do_not_undo_those_of_today(shelf: Shelf, catalog: Catalog) -> None:
    number = shelf.put("a.ckpt", "a", pickle_verdict="dangerous", scanner=5, scan='{"by": 5}')
    assert catalog.record_verdicts([Verdict(number, 1000, 1, "safe", 4, "{}")]) == [True]
    assert row_of(catalog, "a.ckpt").verdict == "dangerous"
    assert catalog.show(number).scan == {"by": 5}


def test_what_rules_have_not_seen_is_told(catalog: Catalog, root: int) -> None:
    scan(
        catalog,
        root,
        scanned("seen.ckpt", found=GOOD),
        scanned("unseen.ckpt", found=Found(format="ckpt")),
        scanned("faulty.ckpt"),
        scanned("plain.safetensors", found=Found(format="safetensors")),
        scanned("posing.ckpt", found=Found(format="safetensors")),
    )
    for path in ("seen.ckpt", "plain.safetensors"):
        assert hashed(catalog, known(catalog, root)[path], path)
    assert catalog.unscanned(root, 3) == {"unseen.ckpt", "faulty.ckpt", "posing.ckpt"}
    assert catalog.unscanned(root, 4) == {
        "seen.ckpt", "unseen.ckpt", "faulty.ckpt", "posing.ckpt"
    }  # fmt: skip


def test_a_file_scanned_again_tells_its_content(catalog: Catalog, root: int) -> None:
    scan(catalog, root, scanned("a.ckpt", found=GOOD))
    assert hashed(catalog, known(catalog, root)["a.ckpt"], "a")
    again = Found(format="ckpt", pickle_verdict="dangerous", scanner=4, scan='{"by": 4}')
    scan(catalog, root, scanned("a.ckpt", found=again))
    catalog.record_local_file(local("copy.ckpt"), blob=blob("a"))
    assert row_of(catalog, "copy.ckpt").verdict == "dangerous"


def test_a_file_moved_out_of_quarantine_by_hand_is_a_file_again(
    catalog: Catalog, root: int
) -> None:
    hidden = ".modelhub/quarantine/evil.ckpt.quarantined"
    scan(catalog, root, scanned(hidden, found=EVIL))
    file = known(catalog, root)[hidden]
    assert hashed(catalog, file, "evil")
    catalog.set_state([file.id], FileState.QUARANTINED)
    catalog.record_moved_many([Move(file.id, root, "evil.ckpt")])
    assert row_of(catalog, "evil.ckpt").state is FileState.HASHED
    assert catalog.find_local_by_path(Path("/library") / hidden) is None


def test_a_root_remembers_by_which_rules_it_was_scanned(catalog: Catalog, root: int) -> None:
    catalog.record_scan(root, verdicts_by=7)
    catalog.record_scan(root)
    found = catalog.root(Path("/library"))
    assert found is not None
    assert found.verdicts_by == 7

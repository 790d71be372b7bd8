"""The verdict on each file of picklescan's own tests, and on what torch itself writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.formats.reading import read_header
from modelhub.formats.scan import Rank, Verdict, carries_pickles, scan_file
from modelhub.formats.tensors import FileFormat

DATA = Path(__file__).parents[2] / "data"
_CORPUS = sorted(path for path in (DATA / "pickles").iterdir() if path.suffix != ".md")
_SAFE = {
    "bad_pytorch.pt",  # the first bytes of a picture
    "benign0_v0.pkl",
    "benign0_v3.pkl",
    "benign0_v4.pkl",
    "new_pytorch_model.bin",
    "not_a_pickle.bin",
}
_SUSPICIOUS = {"benign_password_protected.zip", "malicious1.7z"}
_TORCH = {"script.pt": Verdict.SUSPICIOUS}


@pytest.mark.parametrize("path", _CORPUS, ids=lambda path: path.name)
def test_the_verdict_on_each_file_of_the_corpus(path: Path) -> None:
    expected = Verdict.DANGEROUS
    if path.name in _SAFE:
        expected = Verdict.SAFE
    elif path.name in _SUSPICIOUS:
        expected = Verdict.SUSPICIOUS
    report = scan_file(path)
    assert report.verdict is expected, report
    if expected is Verdict.DANGEROUS:
        assert report.findings[0].rank is Rank.DANGEROUS
        assert report.findings[0].why
    if expected is Verdict.SUSPICIOUS:
        assert report.faults


def test_the_whole_corpus_is_here() -> None:
    assert len(_CORPUS) == 45


@pytest.mark.parametrize(
    "path",
    sorted(path for path in (DATA / "torch").iterdir() if path.suffix != ".md"),
    ids=lambda path: path.name,
)
def test_what_torch_writes_is_safe_and_torchscript_is_not(path: Path) -> None:
    report = scan_file(path)
    assert report.verdict is _TORCH.get(path.name, Verdict.SAFE), report
    assert report.pickles
    assert carries_pickles(read_header(path).format)
    is_script = any("TorchScript" in fault.reason for fault in report.faults)
    assert is_script == (path.name == "script.pt")


def test_a_finding_says_which_name_where_and_how_often() -> None:
    (finding,) = scan_file(DATA / "pickles" / "malicious1.zip").findings
    assert (finding.path, finding.rank, finding.count) == ("builtins.eval", Rank.DANGEROUS, 1)
    assert finding.where.endswith(".pkl")
    data = (DATA / "pickles" / "malicious1.zip").read_bytes()
    assert data[finding.offset :].startswith(b"cbuiltins\neval\n") or finding.offset > 0


@pytest.mark.parametrize(
    "format",
    [FileFormat.SAFETENSORS, FileFormat.GGUF, FileFormat.IMAGE, FileFormat.HTML, FileFormat.TEXT],
)
def test_no_verdict_is_kept_for_a_format_without_pickles(format: FileFormat) -> None:
    assert not carries_pickles(format)

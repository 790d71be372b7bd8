from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelhub.config import Config
from modelhub.config.settings import Civitai, Download, Library, Sidecars
from modelhub.convert.options import ConvertOptions, Precision
from modelhub.demo.hub import DemoHub
from modelhub.errors import (
    Cancelled,
    ConversionRefused,
    RootMissing,
    UnknownFile,
    UnknownModel,
    UsageError,
    VerificationError,
)
from modelhub.formats.identify.parts import Role
from modelhub.services.convert import ConvertRequest
from modelhub.services.jobs import JobKind
from modelhub.services.jobs.plain import from_plain, to_plain
from modelhub.services.jobs.progress import ProgressFold
from modelhub.services.jobs.shared import Shared
from modelhub.services.jobs.work import check_arguments, do_job
from modelhub.services.render import RenderWish


class Doer:
    """Does jobs in a library of its own."""

    def __init__(self, config: Config, hub: DemoHub) -> None:
        self.config, self.hub = config, hub
        self.cancel = threading.Event()
        self.shared: Shared | None = None
        self.fold = ProgressFold(lambda *_: None)

    def __call__(self, kind: JobKind, **arguments: Any) -> dict[str, Any]:
        return do_job(
            kind,
            arguments,
            config=self.config,
            key=None,
            listener=self.fold,
            cancel=self.cancel,
            shared=self.shared,
        )

    def pull(self, name: str, data: bytes | int, **options: Any) -> dict[str, Any]:
        """Publish a file and pull it."""
        file = self.hub.publish_bytes(name, data)
        reference = f"https://civitai.com/model-versions/{file.version_id}"
        return self(JobKind.DOWNLOAD, reference=reference, options=options)


@pytest.fixture
def do(config: Config, hub: DemoHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doer:
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    (tmp_path / "models").mkdir()
    settings = replace(
        config,
        library=Library(root=str(tmp_path / "models")),
        civitai=Civitai(url=hub.url, requests_per_second=100, retries=0),
        download=Download(min_free=0),
        sidecars=Sidecars(preview=False),
    )
    return Doer(settings, hub)


def test_each_kind_of_upkeep_is_done_from_plain_values(do: Doer) -> None:
    pulled = do.pull("work.safetensors", os.urandom(1 << 20), allow_unsafe=True)
    assert Path(pulled["path"]).stat().st_size == 1 << 20
    assert (pulled["outcome"], pulled["verified_by"]) == ("done", "SHA256")

    indexed = do(JobKind.INDEX, paths=[str(Path(pulled["path"]).parent)])
    assert indexed["roots"][0]["files"] == 1
    assert do(JobKind.HASH)["hashed"] == 0
    assert do(JobKind.VERIFY, due=True)["ok"] == 1
    assert do(JobKind.MATCH, again=True)["found"] == 1
    assert do(JobKind.UPDATES)["checked"] == 1
    assert any("work.safetensors" in line for line in do.fold.log)


def test_jobs_that_share_a_catalog_and_connections_do_the_same(do: Doer) -> None:
    do.shared = Shared()
    first = do.pull("shared one.safetensors", b"one" * 1000)
    second = do.pull("shared two.safetensors", b"two" * 1000)
    do.shared.rest()
    third = do.pull("shared three.safetensors", b"three" * 1000)
    do.shared.rest()

    assert len({first["path"], second["path"], third["path"]}) == 3
    do.cancel.set()
    with pytest.raises(Cancelled):
        do(JobKind.UPDATES)
    do.shared.rest()


def test_a_failed_part_is_the_failure_of_the_job(do: Doer, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="999999999"):
        do(JobKind.DOWNLOAD, reference="999999999")
    with pytest.raises(UnknownFile):
        do(JobKind.CONVERT, sources=[str(tmp_path / "gone.ckpt")])
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    with pytest.raises(ConversionRefused, match=r"broken\.safetensors"):
        do(JobKind.CONVERT, sources=[str(broken)])


def test_damage_that_a_verification_finds_is_a_failure_that_names_the_file(do: Doer) -> None:
    path = Path(do.pull("rot.safetensors", b"good" * 1000)["path"])
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"bad!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(VerificationError, match=r"rot\.safetensors"):
        do(JobKind.VERIFY)


def test_an_index_of_nothing_but_lost_roots_is_a_failure(do: Doer, tmp_path: Path) -> None:
    do.pull("lost.safetensors", b"lost" * 1000)
    do(JobKind.INDEX)
    (tmp_path / "models").rename(tmp_path / "unplugged")

    with pytest.raises(RootMissing):
        do(JobKind.INDEX)


def test_a_cancelled_job_says_so(do: Doer) -> None:
    do.pull("here.safetensors", b"here" * 1000)
    do.cancel.set()
    for kind, arguments in ((JobKind.VERIFY, {}), (JobKind.DOWNLOAD, {"reference": "78056"})):
        with pytest.raises(Cancelled):
            do(kind, **arguments)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (JobKind.DOWNLOAD, {}),
        (JobKind.DOWNLOAD, {"reference": 7}),
        (JobKind.DOWNLOAD, {"reference": "7", "colour": "red"}),
        (JobKind.DOWNLOAD, {"reference": "7", "options": {"dry_run": "perhaps"}}),
        (JobKind.CONVERT, {"sources": "one.ckpt"}),
        (JobKind.CONVERT, {"sources": ["one.ckpt"], "request": {"options": {"dtype": "fp3"}}}),
        (JobKind.RENDER, {"files": ["one.ckpt"], "wish": {"settings": {"steps": "many"}}}),
        (JobKind.VERIFY, {"share": "half"}),
    ],
)
def test_wrong_arguments_are_a_mistake_of_whoever_asks(
    kind: JobKind, arguments: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=f"“{kind}”"):
        check_arguments(kind, arguments)


def test_requests_travel_as_plain_values() -> None:
    request = ConvertRequest(
        options=ConvertOptions(dtype=Precision.FP16, part_dtypes={Role.VAE: Precision.FP32}),
        vae=Path("/vae"),
        loras=((Path("/lora"), 0.5),),
    )
    assert from_plain(to_plain(request), ConvertRequest, "it") == request
    wish = RenderWish(compare=("dtype",), out=Path("/out"), loras=(("style", 0.5),))
    assert from_plain(to_plain(wish), RenderWish, "it") == wish

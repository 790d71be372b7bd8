from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelhub.catalog import Catalog, open_catalog
from modelhub.civitai.client import CivitaiClient
from modelhub.config import Config
from modelhub.config.settings import CatalogSettings, Civitai, Download, Library, Sidecars
from modelhub.demo.catalogue import ANIVERSE, ANIVERSE_NEW, ANIVERSE_OLD, SAKUSHIMIX
from modelhub.demo.hub import DemoHub, Fault
from modelhub.demo.published import PublishedFile, PublishedModel, PublishedVersion
from modelhub.errors import Cancelled, ServerFault
from modelhub.progress import silent
from modelhub.services.pull import PulledFile, PullOptions, pull
from modelhub.services.updates import UpdatesReport, updates


@dataclass
class Desk:
    """Pulls from the demo hub, and asks it what is newer."""

    hub: DemoHub
    catalog: Catalog
    config: Config

    def pull(self, *references: str) -> None:
        with CivitaiClient(self.config, None) as client:
            outcomes = pull(
                references,
                PullOptions(),
                config=self.config,
                client=client,
                catalog=self.catalog,
                listener=silent,
                cancel=threading.Event(),
            )
        assert all(isinstance(one, PulledFile) for one in outcomes), outcomes
        self.hub.forget_requests()

    def updates(self, query: str = "", **options: Any) -> UpdatesReport:
        with CivitaiClient(self.config, None, cancel=options.get("cancel")) as client:
            return updates(catalog=self.catalog, client=client, query=query, **options)

    def asked(self) -> list[str]:
        return [seen.path for seen in self.hub.requests]


@pytest.fixture
def desk(hub: DemoHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    root = tmp_path / "models"
    root.mkdir()
    config = Config(
        library=Library(root=str(root)),
        catalog=CatalogSettings(database_url=f"sqlite:///{tmp_path / 'catalog.db'}"),
        civitai=Civitai(url=hub.url, requests_per_second=100, cache=False, retries=0, timeout=10),
        download=Download(min_free=0, timeout=5),
        sidecars=Sidecars(preview=False, write=[]),
    )
    with open_catalog(config) as catalog:
        yield Desk(hub, catalog, config)


def _version(name: str, day: int, **fields: Any) -> PublishedVersion:
    """A version with a file of a few bytes, published on a day of 2024."""
    content = f"{name} of {day}".encode() * 20
    return PublishedVersion(
        name=name,
        published_at=dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=day),
        files=fields.pop("files", [PublishedFile(name=f"{name}.safetensors", content=content)]),
        **fields,
    )


def _publish(hub: DemoHub, name: str, *versions: PublishedVersion) -> PublishedModel:
    model = PublishedModel(name=name, type="LORA", versions=list(versions))
    return hub.publish(model)


def test_a_newer_version_is_told_with_what_a_choice_needs(desk: Desk) -> None:
    desk.pull(f"{ANIVERSE}@{ANIVERSE_OLD}")
    report = desk.updates()
    (update,) = report.updates
    assert (update.model_id, update.version_id) == (ANIVERSE, ANIVERSE_NEW)
    assert (update.model_name, update.version_name) == ("AniVerse", "V2.0")
    assert (update.base_model, update.file) == ("SD 1.5", "aniverse_v20.safetensors")
    assert update.size == desk.hub.stored(341_001).size
    assert update.published_at == dt.datetime(2024, 4, 6, 9, 30, tzinfo=dt.UTC)
    assert (update.instead_of.version_name, update.on_disk) == ("V1.0", ())
    assert update.reference == f"{ANIVERSE}@{ANIVERSE_NEW}"
    assert desk.catalog.known_versions(ANIVERSE) == [ANIVERSE_NEW, ANIVERSE_OLD]


def _in_three_precisions(name: str, day: int) -> PublishedVersion:
    def file(size: str, fp: str) -> PublishedFile:
        content = f"{name} in {size} {fp}".encode() * 20
        file_name = f"{name}-{size}-{fp}.safetensors"
        return PublishedFile(name=file_name, content=content, size=size, fp=fp)

    files = [file("pruned", "fp16"), file("full", "fp32"), file("full", "bf16")]
    return _version(name, day, files=files)


@pytest.mark.parametrize(
    ("here", "followed_by", "is_usual"),
    [
        ("one-full-fp32", "two-full-fp32", False),
        ("one-full-bf16", "two-full-bf16", False),
        ("one-pruned-fp16", "two-pruned-fp16", True),
    ],
)
def test_an_update_is_of_the_same_precision_as_what_it_follows(
    desk: Desk, here: str, followed_by: str, is_usual: bool
) -> None:
    model = _publish(desk.hub, here, _in_three_precisions("one", 1), _in_three_precisions("two", 2))
    new, old = model.versions[1], model.versions[0]
    (file_id,) = [file.id for file in old.files if file.name == f"{here}.safetensors"]
    desk.pull(f"civitai:{model.id}@{old.id}+{file_id}")
    (update,) = desk.updates().updates
    assert update.file == f"{followed_by}.safetensors"
    assert (update.reference == f"{model.id}@{new.id}") is is_usual
    desk.pull(update.reference)
    (now,) = desk.catalog.find_local_by_version(new.id)
    assert now.file.name == f"{followed_by}.safetensors"


def test_older_versions_are_no_updates_and_each_model_is_asked_about_once(desk: Desk) -> None:
    desk.pull(f"{ANIVERSE}@{ANIVERSE_NEW}", f"{ANIVERSE}@{ANIVERSE_OLD}", str(SAKUSHIMIX))
    report = desk.updates()
    assert report.updates == []
    assert (report.models, report.checked, report.unmatched) == (2, 2, 0)
    assert desk.asked() == [f"/api/v1/models/{SAKUSHIMIX}", f"/api/v1/models/{ANIVERSE}"]


def test_an_unchanged_answer_comes_from_the_cache(desk: Desk) -> None:
    desk.config = replace(desk.config, civitai=replace(desk.config.civitai, cache=True))
    desk.pull(f"{ANIVERSE}@{ANIVERSE_OLD}")
    desk.updates()
    before = desk.hub.bytes_sent("api")
    assert len(desk.updates().updates) == 1
    assert desk.hub.bytes_sent("api") == before


def test_another_base_model_counts_only_when_asked_for(desk: Desk) -> None:
    model = _publish(
        desk.hub,
        "Two bases",
        _version("xl-2", 40, base_model="SDXL 1.0"),
        _version("xl-1", 5, base_model="SDXL 1.0"),
        _version("v1", 10),
        _version("v2", 20),
    )
    desk.pull(f"{model.id}@{model.versions[2].id}")
    assert [one.version_name for one in desk.updates().updates] == ["v2"]
    every = desk.updates(any_base=True).updates
    assert [one.version_name for one in every] == ["xl-2", "v2"], "xl-1 is older than v1"


def test_what_cannot_be_downloaded_is_counted_and_shown_on_request(desk: Desk) -> None:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=3)
    model = _publish(
        desk.hub,
        "Gated",
        _version("early", 30, early_access_until=soon, availability="EarlyAccess"),
        _version("site", 20, usage_control="Generation"),
        _version("open", 10),
        _version("first", 1),
    )
    desk.pull(f"{model.id}@{model.versions[3].id}")
    report = desk.updates()
    assert ([one.version_name for one in report.updates], report.hidden) == (["open"], 2)
    every = desk.updates(unavailable=True).updates
    assert [one.version_name for one in every] == ["early", "site", "open"]
    assert every[0].unavailable.startswith("early access until ")
    assert every[1].unavailable == "for generation on the site only"


def test_a_version_that_lies_here_unmatched_is_known_as_on_disk(desk: Desk) -> None:
    model = _publish(desk.hub, "Twice", _version("v2", 20), _version("v1", 10))
    desk.pull(f"{model.id}@{model.versions[1].id}")
    folder = Path(desk.config.library.root) / "copied"
    folder.mkdir()
    file = folder / "anything.safetensors"
    file.write_bytes(desk.hub.stored(model.versions[0].files[0].id).path.read_bytes())
    from modelhub.catalog import BlobRecord, LocalFileRecord
    from modelhub.formats.hashes import hash_file

    desk.catalog.record_local_file(
        LocalFileRecord.of(folder, file, stat=file.stat()),
        blob=BlobRecord.of(None, hash_file(file), file.stat().st_size),
    )
    report = desk.updates()
    assert [one.on_disk for one in report.updates] == [(str(file),)]
    assert desk.updates().updates == [], "it is one of the versions here from now on"


def test_a_model_that_is_gone_is_recorded_and_stays_described(desk: Desk) -> None:
    model = _publish(desk.hub, "Short lived", _version("v1", 10))
    desk.pull(str(model.id))
    del desk.hub.shelf._models[model.id]
    report = desk.updates()
    (gone,) = report.gone
    assert (gone.model_id, gone.model_name, gone.version_id) == (model.id, "Short lived", None)
    assert len(gone.paths) == 1
    (row,) = desk.catalog.list_files()
    assert row.model_name == "Short lived"
    assert desk.catalog.show(row.id).publications[0].gone_at is not None


def test_a_version_that_was_taken_back_is_told_apart_from_its_model(desk: Desk) -> None:
    model = _publish(desk.hub, "Half gone", _version("v2", 20), _version("v1", 10))
    desk.pull(f"{model.id}@{model.versions[1].id}")
    model.versions[1].status = "Unpublished"
    report = desk.updates()
    assert [(one.version_id, one.version_name) for one in report.gone] == [
        (model.versions[1].id, "v1")
    ]
    assert [one.version_name for one in report.updates] == ["v2"]
    assert desk.updates().gone == [], "told once"


def test_a_server_that_fails_half_way_keeps_what_was_answered(desk: Desk) -> None:
    first = _publish(desk.hub, "First", _version("v2", 20), _version("v1", 10))
    second = _publish(desk.hub, "Second", _version("v2", 20), _version("v1", 10))
    desk.pull(*(f"{one.id}@{one.versions[1].id}" for one in (first, second)))
    fault = Fault(kind="server_error", times=None, path=f"/api/v1/models/{second.id}")
    desk.hub.faults.add(fault)
    report = desk.updates()
    assert isinstance(report.stopped, ServerFault)
    assert [one.model_name for one in report.updates] == ["First"]
    assert (report.checked, report.models) == (1, 2)


def test_a_cancelled_run_says_so(desk: Desk) -> None:
    desk.pull(f"{ANIVERSE}@{ANIVERSE_OLD}")
    cancel = threading.Event()
    cancel.set()
    report = desk.updates(cancel=cancel)
    assert isinstance(report.stopped, Cancelled)
    assert desk.asked() == []


def test_a_query_narrows_down_what_is_asked_about(desk: Desk) -> None:
    desk.pull(f"{ANIVERSE}@{ANIVERSE_OLD}", str(SAKUSHIMIX))
    desk.updates("sakushi")
    assert desk.asked() == [f"/api/v1/models/{SAKUSHIMIX}"]

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog import Catalog, open_catalog
from modelhub.config import Config
from modelhub.config.settings import CatalogSettings, Index
from modelhub.demo.catalogue import LORA
from modelhub.demo.hub import DemoHub
from modelhub.errors import RootMissing
from modelhub.services.adopt import AdoptReport, Standing, adopt

LORA_FILE, VAE_FILE = 911_101, 911_102


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    return Config(
        catalog=CatalogSettings(database_url=f"sqlite:///{tmp_path / 'catalog.db'}"),
        index=Index(settle=0, wait=1, processes=1),
    )


@pytest.fixture
def catalog(config: Config) -> Iterator[Catalog]:
    with open_catalog(config) as opened:
        yield opened


def comfyui(base: Path, hub: DemoHub) -> Path:
    for name in ("comfy", "models/checkpoints", "models/loras/style", "models/vae"):
        (base / name).mkdir(parents=True)
    (base / "folder_paths.py").touch()
    shutil.copyfile(hub.stored(LORA_FILE).path, base / "models/loras/style/ink.safetensors")
    (base / "models/loras/style/ink.json").write_text('{"notes": "30 steps"}')
    return base


def roots(catalog: Catalog) -> dict[str, str | None]:
    return {root.path: root.layout for root in catalog.roots()}


def standings(report: AdoptReport) -> list[tuple[str, Standing]]:
    return [(one.place.folder.name, one.standing) for one in report.folders]


def test_a_folder_of_comfyui_is_indexed_and_its_sidecars_are_imported(
    hub: DemoHub, tmp_path: Path, config: Config, catalog: Catalog
) -> None:
    base = comfyui(tmp_path / "ComfyUI", hub)

    report = adopt([base], config=config, catalog=catalog)

    assert roots(catalog) == {str(base / "models"): "comfyui"}
    assert catalog.roots()[0].watched
    assert report.index is not None
    assert (report.index.new, report.index.unhashed) == (1, 0)
    assert report.sidecars.words == 1
    (row,) = catalog.list_files("type:lora")
    assert catalog.show(row.id).note == "30 steps"


def test_nothing_is_written_in_an_adopted_folder(
    hub: DemoHub, tmp_path: Path, config: Config, catalog: Catalog
) -> None:
    base = comfyui(tmp_path / "ComfyUI", hub)
    before = {path: path.stat().st_mtime_ns for path in (base, *base.rglob("*"))}
    adopt([base], config=config, catalog=catalog)
    assert {path: path.stat().st_mtime_ns for path in (base, *base.rglob("*"))} == before


def test_a_dry_run_says_what_it_would_add_and_adds_nothing(
    hub: DemoHub, tmp_path: Path, config: Config, catalog: Catalog
) -> None:
    base = comfyui(tmp_path / "ComfyUI", hub)
    report = adopt([base], config=config, catalog=catalog, dry_run=True)
    assert standings(report) == [("models", Standing.NEW)]
    assert (roots(catalog), report.index) == ({}, None)


def test_adopting_twice_adds_nothing_twice(
    hub: DemoHub, tmp_path: Path, config: Config, catalog: Catalog
) -> None:
    base = comfyui(tmp_path / "ComfyUI", hub)
    adopt([base], config=config, catalog=catalog)
    report = adopt([base, base / "models"], config=config, catalog=catalog)
    assert standings(report) == [("models", Standing.KNOWN)]
    assert report.index is not None
    assert (report.index.new, report.index.unchanged) == (0, 1)
    assert report.sidecars.words == 0
    assert len(roots(catalog)) == 1


def test_a_known_root_learns_its_layout_and_stays_as_it_was_watched(
    hub: DemoHub, tmp_path: Path, config: Config, catalog: Catalog
) -> None:
    base = comfyui(tmp_path / "ComfyUI", hub)
    catalog.add_root(base / "models", watched=False)
    adopt([base], config=config, catalog=catalog, index=False)
    (root,) = catalog.roots()
    assert (root.layout, root.watched) == ("comfyui", False)


def test_folders_of_several_tools_become_one_library(
    hub: DemoHub, tmp_path: Path, config: Config, catalog: Catalog
) -> None:
    comfy = comfyui(tmp_path / "ComfyUI", hub)
    web_ui = tmp_path / "webui"
    for name in ("models/Stable-diffusion", "models/Lora", "embeddings", "venv/lib"):
        (web_ui / name).mkdir(parents=True)
    shutil.copyfile(hub.stored(LORA_FILE).path, web_ui / "models/Lora/same.safetensors")
    (web_ui / "venv/lib/weights.bin").write_bytes(b"\0" * 5_000_000)
    (tmp_path / "more loras").mkdir()
    (comfy / "extra_model_paths.yaml").write_text(
        f"a111:\n  base_path: {web_ui}\n  loras: models/Lora\n"
        "more:\n  loras: |\n    ../more loras\n    ../gone\n"
    )

    report = adopt([comfy], config=config, catalog=catalog)

    assert roots(catalog) == {
        str(comfy / "models"): "comfyui",
        str(web_ui / "models"): "a1111",
        str(web_ui / "embeddings"): "flat",
        str(tmp_path / "more loras"): "flat",
    }
    assert ("gone", Standing.ABSENT) in standings(report)
    assert {row.name for row in catalog.list_files()} == {"ink.safetensors", "same.safetensors"}
    assert catalog.list_files()[0].copies == 2


def test_a_folder_inside_a_root_and_one_behind_a_link_are_covered_by_it(
    hub: DemoHub, tmp_path: Path, config: Config, catalog: Catalog
) -> None:
    base = comfyui(tmp_path / "ComfyUI", hub)
    (tmp_path / "link").symlink_to(base / "models" / "loras")
    catalog.add_root(base / "models", layout="comfyui", watched=True)
    report = adopt([base / "models/loras", tmp_path / "link"], config=config, catalog=catalog)
    assert standings(report) == [("link", Standing.COVERED)] or standings(report) == [
        ("loras", Standing.COVERED)
    ]
    assert report.targets == [base / "models/loras"]
    assert len(roots(catalog)) == 1
    assert catalog.count() == 1


def test_a_path_that_is_nothing_changes_nothing(
    hub: DemoHub, tmp_path: Path, config: Config, catalog: Catalog
) -> None:
    base = comfyui(tmp_path / "ComfyUI", hub)
    with pytest.raises(RootMissing):
        adopt([base, tmp_path / "typo"], config=config, catalog=catalog)
    assert roots(catalog) == {}


def test_without_hashing_sidecars_wait_for_the_next_index(
    hub: DemoHub, tmp_path: Path, config: Config, catalog: Catalog
) -> None:
    base = comfyui(tmp_path / "ComfyUI", hub)
    report = adopt([base], config=config, catalog=catalog, hash=False)
    assert report.index is not None
    assert report.index.unhashed == 1
    assert report.sidecars.files == 0
    assert adopt([base], config=config, catalog=catalog).sidecars.words == 1
    assert LORA not in {row.model_id for row in catalog.list_files()}

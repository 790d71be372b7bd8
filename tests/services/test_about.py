"""What a pane says of a file: the picture within the allowed level, the description as text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog import Catalog, PreviewRecord, VersionRecord, open_catalog
from modelhub.catalog.records import ModelRecord, RemoteFileRecord
from modelhub.config.settings import CatalogSettings, Config, Sidecars
from modelhub.errors import UnknownFile
from modelhub.services.about import about
from tests.catalog.shelf import NOW, Shelf, sha256_of


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with open_catalog(config(tmp_path)) as opened:
        yield opened


def config(folder: Path, level: str = "R") -> Config:
    url = f"sqlite:///{folder / 'catalog.db'}"
    return Config(
        catalog=CatalogSettings(database_url=url),
        sidecars=Sidecars(max_nsfw=level),  # type: ignore[arg-type]
    )


def publish(catalog: Catalog, raw: str | None, *pictures: PreviewRecord) -> int:
    number = Shelf(catalog).put("ink.safetensors", "ink")
    catalog.record_published(
        ModelRecord(id=1, name="Ink", type="LORA", fetched_at=NOW, raw=raw),
        [VersionRecord(id=10, model_id=1, name="v1", fetched_at=NOW, previews=pictures)],
        [
            RemoteFileRecord(
                id=100, version_id=10, name="ink", type="Model", sha256=sha256_of("ink")
            )
        ],
    )
    return number


def test_a_description_is_shown_as_text(catalog: Catalog, tmp_path: Path) -> None:
    number = publish(catalog, '{"description": "<p>In <b>ink</b></p><script>x</script>"}')
    assert about(catalog, config(tmp_path), number).description == "In ink"


def test_an_answer_that_is_no_json_describes_nothing(catalog: Catalog, tmp_path: Path) -> None:
    assert about(catalog, config(tmp_path), publish(catalog, "{")).description == ""


def test_a_picture_above_the_level_is_not_shown(catalog: Catalog, tmp_path: Path) -> None:
    picture = tmp_path / "ink.png"
    picture.write_bytes(b"png")
    published = PreviewRecord(url="https://example.test/1", nsfw_level=8, file=picture)
    number = publish(catalog, None, published)
    assert about(catalog, config(tmp_path, "R"), number).preview is None
    assert about(catalog, config(tmp_path, "X"), number).preview == picture


def test_an_unknown_file_is_an_error(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(UnknownFile):
        about(catalog, config(tmp_path), 99)

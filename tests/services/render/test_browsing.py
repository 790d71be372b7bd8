from __future__ import annotations

import pytest

from modelhub.errors import FileUnreadable, NameTaken, QuerySyntaxError, UnknownFile, UnknownRender
from modelhub.services.render import delete_render, find_renders, make_preview, show_render

from .conftest import Studio


@pytest.fixture
def rendered(stocked: Studio) -> Studio:
    """With a render of the checkpoint (1) and one of the LoRA (2)."""
    assert stocked.one("base").id == 1
    assert stocked.one("style").id == 2
    return stocked


def test_renders_are_listed_by_a_query_the_latest_first(rendered: Studio) -> None:
    catalog = rendered.library.catalog
    assert [one.row.id for one in find_renders(catalog)] == [2, 1]
    assert [one.row.id for one in find_renders(catalog, limit=1)] == [2]
    assert [one.row.id for one in find_renders(catalog, before=2)] == [1]
    [of_lora] = find_renders(catalog, "type:lora")
    assert (of_lora.row.id, of_lora.model, of_lora.present) == (2, "style.safetensors", True)
    assert find_renders(catalog, "type:embedding") == []
    with pytest.raises(QuerySyntaxError):
        find_renders(catalog, "size>lots")


def test_a_deleted_render_is_gone_from_disk_and_catalog(rendered: Studio) -> None:
    catalog = rendered.library.catalog
    path = show_render(catalog, 1).path
    assert "deleted" in delete_render(catalog, 1)
    assert not path.exists()
    with pytest.raises(UnknownRender):
        show_render(catalog, 1)
    assert show_render(catalog, 2).present


def test_a_file_that_took_the_place_of_a_render_is_not_deleted(rendered: Studio) -> None:
    catalog = rendered.library.catalog
    path = show_render(catalog, 1).path
    path.write_bytes(b"my own drawing")
    assert "was kept" in delete_render(catalog, 1)
    assert path.read_bytes() == b"my own drawing"
    gone = show_render(catalog, 2).path
    gone.unlink()
    assert "gone already" in delete_render(catalog, 2)
    assert find_renders(catalog) == []


def test_a_render_becomes_the_preview_of_its_model(rendered: Studio) -> None:
    catalog = rendered.library.catalog
    shown = show_render(catalog, 2)
    [preview] = make_preview(catalog, 2)
    assert preview == rendered.root / "style.preview.png"
    assert preview.read_bytes() == shown.path.read_bytes()
    with pytest.raises(NameTaken, match="has a preview already"):
        make_preview(catalog, 2)
    preview.write_bytes(b"the old one")
    assert make_preview(catalog, 2, replace=True) == [preview]
    assert preview.read_bytes() == shown.path.read_bytes()
    assert (rendered.root / "style.preview.old-1.png").read_bytes() == b"the old one"


def test_a_preview_needs_the_picture_and_the_model(rendered: Studio) -> None:
    catalog = rendered.library.catalog
    (rendered.root / "base.safetensors").unlink()
    rendered.index()
    with pytest.raises(UnknownFile):
        make_preview(catalog, 1)
    show_render(catalog, 2).path.unlink()
    with pytest.raises(FileUnreadable, match="gone"):
        make_preview(catalog, 2)

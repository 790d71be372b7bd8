from __future__ import annotations

import pytest

from modelhub.demo.weights.files import system_call
from modelhub.errors import FileUnreadable, UnknownRender
from modelhub.render.images.pictures import pixels_of
from tests.render import tiny

from .conftest import Studio


def test_a_render_made_again_is_the_same_picture_bit_for_bit(stocked: Studio) -> None:
    first = stocked.one(
        "style", loras=(("style", 0.7),), vae="soft.vae", negative="badhands", ema=False
    )
    assert first.id is not None
    again = stocked.again(first.id)
    assert again.identical
    assert again.other == ()
    assert again.image.path != first.path
    assert (pixels_of(again.image.path.read_bytes()) == pixels_of(first.path.read_bytes())).all()
    assert again.image.kept.again_of == first.id
    assert again.image.kept.settings == first.kept.settings
    assert again.image.id is not None
    assert stocked.again(again.image.id).identical


def test_a_file_that_moved_is_found_by_its_content(stocked: Studio) -> None:
    image = stocked.one("base")
    moved = stocked.root / "elsewhere" / "renamed.safetensors"
    moved.parent.mkdir()
    (stocked.root / "base.safetensors").rename(moved)
    stocked.index()
    assert image.id is not None
    again = stocked.again(image.id)
    assert again.identical
    assert again.image.kept.files[0].file == moved


def test_a_file_that_changed_or_is_gone_is_named(stocked: Studio) -> None:
    image = stocked.one("base")
    assert image.id is not None
    path = stocked.root / "base.safetensors"
    tiny.write_sd1(path, seed=99)
    with pytest.raises(FileUnreadable, match="another file than the model") as caught:
        stocked.again(image.id)
    assert str(path) in caught.value.message
    assert image.kept.files[0].sha256 in caught.value.hint
    path.unlink()
    with pytest.raises(FileUnreadable, match="is gone"):
        stocked.again(image.id)


def test_what_was_allowed_then_is_allowed_again(stocked: Studio) -> None:
    bad = tiny.write_sd1(stocked.root / "bad.ckpt", before=system_call("echo pwned"))
    allowed = stocked.one(bad, allow_unsafe=True)
    assert allowed.id is not None
    assert stocked.again(allowed.id).identical


def test_a_number_that_is_none_is_told(studio: Studio) -> None:
    with pytest.raises(UnknownRender):
        studio.again(7)

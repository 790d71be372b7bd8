"""What was made from what; and what the user wrote goes along."""

from __future__ import annotations

import pytest

from modelhub.catalog import Catalog
from modelhub.errors import UnknownFile

from .shelf import Shelf, sha256_of


def test_both_sides_are_told(catalog: Catalog, shelf: Shelf) -> None:
    source = shelf.put("big.ckpt", "big")
    result = shelf.put("small.safetensors", "small")
    sources = [sha256_of("big").lower(), sha256_of("never seen")]
    catalog.record_derived(sha256_of("small"), sources, "converted to fp16 safetensors")

    made_from = catalog.show(result).made_from
    assert [one.sha256 for one in made_from] == [sha256_of("big"), sha256_of("never seen")]
    assert [one.files for one in made_from] == [("/library/big.ckpt",), ()]
    [into] = catalog.show(source).made_into
    assert (into.operation, into.files) == (
        "converted to fp16 safetensors",
        ("/library/small.safetensors",),
    )
    assert catalog.show(source).made_from == ()
    assert catalog.show(result).events[0].detail == {
        "sources": [sha256_of("big"), sha256_of("never seen")]
    }


def test_a_source_that_is_gone_is_named_without_a_place(catalog: Catalog, shelf: Shelf) -> None:
    source = shelf.put("big.ckpt", "big")
    result = shelf.put("small.safetensors", "small")
    catalog.record_derived(sha256_of("small"), [sha256_of("big")], "converted")
    shelf.missing(source)
    assert [one.files for one in catalog.show(result).made_from] == [()]
    catalog.forget([source])
    assert [one.sha256 for one in catalog.show(result).made_from] == [sha256_of("big")]


def test_made_again_replaces_what_was_said(catalog: Catalog, shelf: Shelf) -> None:
    result = shelf.put("small.safetensors", "small")
    catalog.record_derived(sha256_of("small"), [sha256_of("a"), sha256_of("b")], "merged")
    catalog.record_derived(sha256_of("small"), [sha256_of("b")] * 2, "converted")
    assert [(one.sha256, one.operation) for one in catalog.show(result).made_from] == [
        (sha256_of("b"), "converted")
    ]


def test_nothing_is_made_from_itself(catalog: Catalog, shelf: Shelf) -> None:
    result = shelf.put("same.safetensors", "same")
    catalog.record_derived(sha256_of("same"), [sha256_of("same")], "copied")
    assert catalog.show(result).made_from == ()


def test_an_unknown_result_is_refused(catalog: Catalog) -> None:
    with pytest.raises(UnknownFile):
        catalog.record_derived(sha256_of("nowhere"), [sha256_of("big")], "converted")


def test_what_the_user_wrote_is_inherited_and_nothing_overwritten(
    catalog: Catalog, shelf: Shelf
) -> None:
    source, result = shelf.put("big.ckpt", "big"), shelf.put("small.safetensors", "small")
    catalog.tag([source], ["style", "old"])
    catalog.rate([source], 4)
    catalog.note([source], "from the source")
    catalog.set_trigger_words([source], ["ink"])
    catalog.set_user_values([source], {"vae": "ft-mse"})
    catalog.tag([result], ["mine"])
    catalog.note([result], "my own")

    assert catalog.copy_user_words(sha256_of("big"), sha256_of("small").lower())
    details = catalog.show(result)
    assert details.row.tags == ("mine", "old", "style")
    assert (details.row.rating, details.note) == (4, "my own")
    assert details.own_trigger_words == ("ink",)
    assert details.user_values == {"vae": "ft-mse"}


def test_what_was_taken_off_the_result_stays_off(catalog: Catalog, shelf: Shelf) -> None:
    source, result = shelf.put("big.ckpt", "big"), shelf.put("small.safetensors", "small")
    catalog.tag([source], ["style"])
    catalog.copy_user_words(sha256_of("big"), sha256_of("small"))
    catalog.untag([result], ["style"])
    assert not catalog.copy_user_words(sha256_of("big"), sha256_of("small"))
    assert catalog.show(result).row.tags == ()


def test_words_of_or_for_an_unknown_content_are_refused(catalog: Catalog, shelf: Shelf) -> None:
    shelf.put("big.ckpt", "big")
    for source, result in (("big", "nowhere"), ("nowhere", "big")):
        with pytest.raises(UnknownFile):
            catalog.copy_user_words(sha256_of(source), sha256_of(result))

"""Facets promise what their terms find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog import Catalog, open_catalog
from modelhub.config.settings import CatalogSettings, Config
from modelhub.errors import QuerySyntaxError
from modelhub.services.facets import choices, count_facets, has_terms, with_terms
from tests.catalog.shelf import Shelf


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    with open_catalog(Config(catalog=CatalogSettings(database_url=url))) as opened:
        shelf = Shelf(opened)
        ink = shelf.put("ink.safetensors", kind="lora", architecture="sd1", format="safetensors")
        shelf.put("wash.safetensors", kind="lora", architecture="sdxl", format="safetensors")
        shelf.put("old.ckpt", kind="checkpoint", format="ckpt", pickle_verdict="dangerous")
        opened.tag([ink], ["two words"])
        opened.rate([ink], 5)
        shelf.missing(ink)
        yield opened


@pytest.mark.parametrize("query", ["", "type:lora", "-type:lora", "ink", "format:ckpt"])
def test_each_count_is_what_its_terms_find(catalog: Catalog, query: str) -> None:
    found = list(count_facets(catalog, choices(catalog), query))
    assert found
    for facet in found:
        for value in facet.values:
            assert value.count == catalog.count(f"{query} {value.terms}") > 0


def test_the_library_is_told_by_kind_base_tag_format_safety_and_state(catalog: Catalog) -> None:
    told = {
        facet.title: {value.label: value.count for value in facet.values}
        for facet in count_facets(catalog, choices(catalog), "")
    }
    assert told["Kind"] == {"lora": 2, "checkpoint": 1}
    assert told["Base"] == {"sd1": 1, "sdxl": 1}
    assert told["Tags"] == {"two words": 1}
    assert told["Format"] == {"safetensors": 2, "ckpt": 1}
    assert told["Safety"]["dangerous"] == 1
    assert told["State"]["missing"] == 1
    assert told["Rating"] == {"★★★★★": 1}


def test_nobody_counts_what_nobody_waits_for(catalog: Catalog) -> None:
    assert list(count_facets(catalog, choices(catalog), "", lambda: True)) == []


def test_a_mistake_in_the_query_is_an_error(catalog: Catalog) -> None:
    with pytest.raises(QuerySyntaxError):
        list(count_facets(catalog, choices(catalog), "size>huge"))


def test_terms_join_a_query_and_leave_it() -> None:
    query = with_terms("ink", "base:sdxl")
    assert query == "ink base:sdxl"
    assert has_terms(query, "base:sdxl")
    assert not has_terms(query, "base:sd")
    assert with_terms(query, "base:sdxl") == "ink"
    assert with_terms("", 'tag:"two words"') == 'tag:"two words"'

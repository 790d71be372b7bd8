"""What the guide says of the search language holds."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from modelhub.catalog.search.fields import FIELDS
from modelhub.catalog.search.parser import parse
from modelhub.catalog.search.vocabulary import canonical
from modelhub.catalog.sorting import SortKey

GUIDE = (Path(__file__).parents[3] / "docs" / "catalog.md").read_text("utf-8")
_ROW = re.compile(r"^\| `(\w+)` \| ((?:`[^`]+` ?)+) \| (.+) \|$", re.MULTILINE)


def test_every_field_has_its_row_and_examples_that_parse() -> None:
    rows = {found[1]: re.findall("`([^`]+)`", found[2]) for found in _ROW.finditer(GUIDE)}
    assert set(rows) == set(FIELDS)
    for field, examples in rows.items():
        for example in examples:
            (term,) = parse(example).terms
            assert getattr(term, "field", None) == field


def test_named_values_in_the_guide_are_in_the_lists() -> None:
    for field, value in re.findall(r"`(type|base|arch|fp|format):([\w,]+)`", GUIDE):
        assert all(canonical(field, one) for one in value.split(","))


def test_every_order_is_named() -> None:
    listing = GUIDE.partition("`--sort KEY`")[2].splitlines()[0]
    assert all(f"`{key}`" in listing for key in SortKey)


def test_the_commands_of_the_guide_hold_queries_that_parse() -> None:
    commands = re.findall(r"^\$ modelhub list (.*?)(?:\s+#.*|\s\|.*)?$", GUIDE, re.MULTILINE)
    good = [command for command in commands if "tyep" not in command and "chek" not in command]
    assert len(good) >= 5
    for command in good:
        words = shlex.split(re.sub(r"--(sort|limit) \S+|--json|--count|-- ", "", command))
        parse(" ".join(words))

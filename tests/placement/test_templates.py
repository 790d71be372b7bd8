from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.config.settings import Library
from modelhub.errors import ConfigError
from modelhub.placement.layouts import Placeable, place
from modelhub.placement.templates import FIELDS, parse_template

VALUES = {
    "type": "Checkpoint",
    "kind": "checkpoint",
    "base_model": "SD 1.5",
    "creator": "Rin",
    "model": "A/B mix: 麦橘",
    "version": "v1.0",
    "model_id": "78056",
    "version_id": "133274",
    "file": "ab.safetensors",
}


def test_the_default_template_reads_as_it_is_written() -> None:
    item = Placeable(
        file_name="sakushimix.safetensors",
        model_type="Checkpoint",
        base_model="SD 1.5",
        creator="Sakushi",
        model="SakushiMix (finished)",
        version="SakushiMix Final",
    )
    assert place(Library(layout="template"), item) == PurePosixPath(
        "Checkpoint/SD 1.5/Sakushi/SakushiMix (finished) - SakushiMix Final/sakushimix.safetensors"
    )


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("{file}", "ab.safetensors"),
        ("{creator|lower}/{file}", "rin/ab.safetensors"),
        ("{ creator | lower }/{file}", "rin/ab.safetensors"),
        ("{model}/{file}", "A_B mix_ 麦橘/ab.safetensors"),
        ("{kind}/{model_id}@{version_id}/{file}", "checkpoint/78056@133274/ab.safetensors"),
        ("{{x}}/{file}", "{x}/ab.safetensors"),
        ("mine/{version} {file}", "mine/v1.0 ab.safetensors"),
    ],
)
def test_templates(template: str, path: str) -> None:
    assert parse_template(template).render(VALUES) == PurePosixPath(path)


def test_what_is_not_known_is_called_unknown() -> None:
    path = parse_template("{base_model}/{creator}/{file}").render({"file": "a.pt", "creator": " "})
    assert path == PurePosixPath("unknown/unknown/a.pt")


@pytest.mark.parametrize(
    ("template", "column", "what"),
    [
        ("{typ}/{file}", 1, "unknown field `typ`"),
        ("a/{model}/{creater}/{file}", 11, "unknown field `creater`"),
        ("{model|upper}/{file}", 1, "unknown filter `upper`"),
        ("{model|}/{file}", 1, "unknown filter ``"),
        ("{type/{file}", 1, "`{` without its other"),
        ("type}/{file}", 5, "`}` without its other"),
        ("/{file}", 1, "empty component"),
        ("a//{file}", 3, "empty component"),
        ("", 1, "empty component"),
        ("../{file}", 1, "cannot be the name"),
        ("a/../{file}", 3, "cannot be the name"),
        ("a/./{file}", 3, "cannot be the name"),
        ("C:\\x\\{file}", 1, "cannot be the name"),
        ("con/{file}", 1, "cannot be the name"),
        ("a /{file}", 1, "cannot be the name"),
        ("{type}/{model}", 14, "ends with {file}"),
        ("{type}/{file}.safetensors", 25, "ends with {file}"),
        ("{type}/{file}/", 15, "empty component"),
    ],
)
def test_a_mistake_is_named_with_its_column(template: str, column: int, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_template(template)
    assert f"library.template: column {column} of" in caught.value.message
    assert what in caught.value.message


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), st.text(max_size=300)))
def test_no_value_adds_a_folder_or_leaves_the_root(values: dict[str, str]) -> None:
    template = parse_template("{type}/{base_model}/{creator}/{model} - {version}/{file}")
    path = template.render(values)
    assert len(path.parts) == 5
    assert not path.is_absolute()
    assert not {"..", "."} & set(path.parts)
    assert all(len(part.encode()) <= 255 for part in path.parts)


@given(st.text(alphabet="{}|/abfile.\\ ", max_size=30))
def test_any_template_is_a_template_or_a_config_error(text: str) -> None:
    try:
        path = parse_template(text).render(VALUES)
    except ConfigError:
        return
    assert not path.is_absolute()
    assert ".." not in path.parts

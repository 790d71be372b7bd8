"""Real files, cited, are named as their publishers name them: one test for each."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import md5
from typing import Any

import msgspec
import pytest

from modelhub.formats.identify import identify
from modelhub.formats.identity import Identity, ModelKind
from modelhub.formats.tensors import Header

from . import real_headers
from .real_headers import Case

CASES = real_headers.cases()
DESCRIBED = [one for one in CASES if one.described]
LISTED = [one for one in CASES if real_headers.list_of(one.name) is not None]
BARE_MODELS = [
    one
    for one in DESCRIBED
    if one.expected.get("kind") == "unet" and "part-diffuser" not in one.name and not one.nested
]
SAID = (
    "kind",
    "adapter",
    "architecture",
    "edition",
    "variants",
    "precision",
    "parameters",
    "ema",
    "pruned",
    "vae",
    "text_encoders",
    "rank",
)
"""The fields of an identity that the tensors tell."""


def _differences(identity: Identity, expected: Mapping[str, Any]) -> list[str]:
    said = msgspec.to_builtins(identity)
    wrong: list[str] = []
    for field, value in expected.items():
        found = said.get(field)
        if isinstance(value, list):
            missing = set(value) - set(found or ())
            if missing:
                wrong.append(f"{field}: {sorted(missing)} is missing in {found}")
        elif found != value:
            wrong.append(f"{field}: {found!r} where the publisher says {value!r}")
    evidence = {one.field for one in identity.evidence}
    wrong += [f"{field}: no evidence" for field in expected if field not in evidence]
    return wrong


def _said(identity: Identity) -> dict[str, object]:
    """What is said, with rows in alphabetical order."""
    said = {field: getattr(identity, field) for field in SAID}
    return {
        field: sorted(value) if isinstance(value, tuple) else value for field, value in said.items()
    }


def _assert_named(case: Case, header: Header) -> None:
    identity = identify(header)
    wrong = _differences(identity, case.expected)
    assert not wrong, f"{case.says}: {'; '.join(wrong)}\n{identity.evidence}"


@pytest.mark.parametrize("case", DESCRIBED, ids=lambda case: case.name)
def test_a_real_layout_is_named_as_its_publisher_names_it(case: Case) -> None:
    _assert_named(case, real_headers.described_header(case.name, case.dtype))


@pytest.mark.parametrize("case", DESCRIBED, ids=lambda case: case.name)
def test_a_description_is_the_real_file_tensor_for_tensor(case: Case) -> None:
    shapes = real_headers.shapes_of(real_headers.descriptions()[case.name])
    if case.digest:
        assert real_headers.digest_of(shapes, nested=case.nested) == case.digest
    else:
        assert real_headers.digest_of_names(shapes) == case.names


@pytest.mark.parametrize("case", LISTED, ids=lambda case: case.name)
def test_a_real_list_is_named_as_its_publisher_names_it(case: Case) -> None:
    path = real_headers.list_of(case.name)
    assert path is not None
    _assert_named(case, real_headers.listed_header(path))


@pytest.mark.parametrize("case", DESCRIBED, ids=lambda case: case.name)
def test_all_that_is_said_has_evidence_and_makes_sense(case: Case) -> None:
    identity = identify(real_headers.described_header(case.name, case.dtype))
    said = {field for field in SAID if getattr(identity, field) not in (None, ())}
    assert said <= {one.field for one in identity.evidence}
    if identity.kind is not ModelKind.CHECKPOINT:
        assert said.isdisjoint({"vae", "ema", "pruned"})
    if identity.kind is not ModelKind.LORA:
        assert said.isdisjoint({"adapter", "rank"})


@pytest.mark.parametrize("case", DESCRIBED, ids=lambda case: case.name)
def test_the_order_of_the_tensors_does_not_matter(case: Case) -> None:
    header = real_headers.described_header(case.name, case.dtype)
    names = sorted(
        header.tensors, key=lambda name: md5(name.encode(), usedforsecurity=False).digest()
    )
    mixed = msgspec.structs.replace(header, tensors={name: header.tensors[name] for name in names})
    assert _said(identify(mixed)) == _said(identify(header))


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "diffusion_model."])
@pytest.mark.parametrize("case", BARE_MODELS, ids=lambda case: case.name)
def test_a_wrapped_diffusion_model_is_named_as_the_bare_one(case: Case, prefix: str) -> None:
    header = real_headers.described_header(case.name, case.dtype)
    tensors = {prefix + name: tensor for name, tensor in header.tensors.items()}
    _assert_named(case, msgspec.structs.replace(header, tensors=tensors))


def test_a_pattern_stands_for_all_its_names() -> None:
    assert list(real_headers.alternatives("a.{0..2}.{q,k}")) == [
        "a.0.q",
        "a.0.k",
        "a.1.q",
        "a.1.k",
        "a.2.q",
        "a.2.k",
    ]


def test_every_header_is_cited() -> None:
    for case in CASES:
        assert case.path, case.name
        assert len(case.commit) == 40, case.name
        assert case.licence, case.name
        assert case.says, case.name


def test_at_least_sixty_real_headers_are_described_here() -> None:
    assert len(DESCRIBED) >= 60


def test_a_line_that_says_again_what_another_said_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="was already there"):
        real_headers.shapes_of("a.{0..2} = 1\na.1 = 1")


def test_no_part_is_left_over() -> None:
    descriptions = real_headers.descriptions()
    text = "\n".join(descriptions.values()) + "\n"
    for name in descriptions:
        if name.startswith("part-"):
            assert f"include {name} " in text or f"include {name}\n" in text, name
        else:
            assert name in {case.name for case in CASES}, name

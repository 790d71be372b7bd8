"""The engine, the parts of a file, and what identification promises of any header whatever."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.catalog.search.vocabulary import BASES
from modelhub.formats.identify import identify, tables
from modelhub.formats.identify.components import find
from modelhub.formats.identify.engine import ANY, Findings, Rule, View, fits
from modelhub.formats.identify.parts import MOST_PARTS, Role, parts_of
from modelhub.formats.identify.rules import diffusion, image_encoders, text_encoders, vaes
from modelhub.formats.identity import Identity, ModelKind
from modelhub.formats.tensors import FileFormat, Header, Tensor
from tests.patience import SOON

from .layouts import EMA_COUNTERS, SCHEDULE, SD1, SDXL, header, listed, names


def _view(prefix: str = "", **shapes: tuple[int, ...]) -> View:
    tensors = {
        prefix + name.replace("_", "."): Tensor("F16", shape, (0, 0))
        for name, shape in shapes.items()
    }
    return View(tensors, prefix)


@pytest.mark.parametrize(
    ("shape", "wanted", "fit"),
    [
        ((320, 768), (ANY, 768), True),
        ((320, 768, 1, 1), (ANY, 768), True),
        ((320, 1024), (ANY, 768), False),
        ((320,), (ANY, 768), False),
        ((), (), True),
        (None, (), False),
    ],
)
def test_a_shape_fits_by_its_first_dimensions(
    shape: tuple[int, ...] | None, wanted: tuple[int | None, ...], fit: bool
) -> None:
    assert fits(shape, wanted) is fit


def test_a_rule_needs_all_that_it_names_and_nothing_that_it_excludes() -> None:
    rule = Rule("x", "a.w", (ANY, 4), "four", "a/b c", also=("b.w",), without=("c.w",))
    assert _view(a_w=(2, 4), b_w=(1,)).holds(rule)
    assert not _view(a_w=(2, 4)).holds(rule)
    assert not _view(a_w=(2, 5), b_w=(1,)).holds(rule)
    assert not _view(a_w=(2, 4), b_w=(1,), c_w=(1,)).holds(rule)


def test_a_reason_names_the_tensor_as_the_file_does() -> None:
    rule = Rule("x", "a.w", (), "an a", "a/b c")
    assert _view("part.", a_w=(2,)).reason(rule) == "an a (part.a.w)"


def test_packed_rows_have_the_width_that_the_model_computes_with() -> None:
    tensors = {
        "a.weight": Tensor("U8", (64, 32), (0, 0)),
        "a.weight_scale_2": Tensor("F32", (), (0, 0)),
    }
    assert View(tensors).shape("a.weight") == (64, 64)


def test_what_was_found_first_stays() -> None:
    findings = Findings()
    findings.say("architecture", "sd1", "one")
    findings.say("architecture", "sdxl", "two")
    findings.add("variants", "depth", "three")
    findings.add("variants", "depth", "four")
    found = findings.identity()
    assert (found.architecture, found.variants) == ("sd1", ("depth",))
    assert [one.because for one in found.evidence] == ["one", "three"]


def test_a_file_falls_into_its_parts() -> None:
    ema = listed("UNET-v1-EMA", "model_ema.diffusion_model")
    parts = parts_of(header(*SDXL, ema, EMA_COUNTERS, SCHEDULE).tensors)
    assert [(part.prefix, part.role) for part in parts] == [
        ("model.diffusion_model.", Role.UNET),
        ("first_stage_model.", Role.VAE),
        ("conditioner.embedders.0.", Role.TEXT_ENCODER),
        ("conditioner.embedders.1.", Role.TEXT_ENCODER),
        ("model_ema.", Role.EMA),
        ("", Role.SCHEDULE),
    ]
    assert parts[0].numbers == {"F16": 2_567_463_684}
    assert sum(part.count for part in parts) == len(
        header(*SDXL, ema, EMA_COUNTERS, SCHEDULE).tensors
    )


def test_parts_are_the_same_in_whatever_order_the_tensors_stand() -> None:
    whole = header(*SDXL, SCHEDULE).tensors
    backwards = dict(sorted(whole.items(), key=lambda one: one[0][::-1]))
    assert {part.prefix: part for part in parts_of(whole) if part.prefix} == {
        part.prefix: part for part in parts_of(backwards) if part.prefix
    }


_KNOWN = sorted(
    {
        rule.key
        for table in (
            diffusion.ARCHITECTURES,
            text_encoders.TEXT_ENCODERS,
            image_encoders.IMAGE_ENCODERS,
            vaes.VAES,
        )
        for rule in table
    }
)
_PREFIXES = ("", "model.", "model.diffusion_model.", "first_stage_model.", "text_encoders.a.")
_TENSORS = st.dictionaries(
    st.one_of(
        st.builds(str.__add__, st.sampled_from(_PREFIXES), st.sampled_from(_KNOWN)), st.text()
    ),
    st.builds(
        Tensor,
        st.one_of(st.sampled_from(("F16", "U8", "Q4_K", "I64", "F8_E4M3")), st.text()),
        st.lists(st.integers(0, 1 << 40), max_size=5).map(tuple),
        st.just((0, 0)),
    ),
    max_size=12,
)


@given(
    tensors=_TENSORS,
    metadata=st.dictionaries(st.text(), st.text(), max_size=4),
    format=st.sampled_from(FileFormat),
    name=st.text(),
)
def test_no_header_is_so_odd_that_identification_fails(
    tensors: dict[str, Tensor],
    metadata: dict[str, str],
    format: FileFormat,
    name: str,
) -> None:
    odd = Header(format=format, tensors=tensors, metadata=metadata)
    found = identify(odd, name=name)
    assert isinstance(found, Identity)
    # Of an adapter, the parts of a model that it changes are told beside its fields.
    assert {one.field for one in found.evidence} <= {*Identity.__struct_fields__, "parts"}


def test_a_file_of_endless_parts_is_answered_in_time_and_briefly() -> None:
    tensors = {
        f"text_encoders.{number}.layers.0.weight": Tensor("U8", (4, 4), (0, 0))
        for number in range(100_000)
    }
    tensors[f"text_encoders.{'x' * 100_000}.weight"] = Tensor("U8", (4,), (0, 0))
    assert len(parts_of(tensors)) == MOST_PARTS + 1
    began = time.perf_counter()
    found = identify(Header(format=FileFormat.SAFETENSORS, tensors=tensors))
    assert time.perf_counter() - began < SOON
    assert found.kind is None
    assert all(len(one.because) < 1_000 for one in found.evidence)


@pytest.mark.parametrize("format", FileFormat)
def test_a_file_without_tensors_has_no_kind(format: FileFormat) -> None:
    assert identify(Header(format=format, tensors={})).kind is None


@pytest.mark.parametrize("name", names())
def test_a_list_is_one_component_at_most(name: str) -> None:
    found = find(View(header(listed(name)).tensors), Role.UNET, Role.VAE, Role.TEXT_ENCODER)
    assert found is None or found.reason


def test_the_same_header_is_always_identified_alike() -> None:
    assert identify(header(*SD1)) == identify(header(*SD1))
    assert identify(header(*SD1)).kind is ModelKind.CHECKPOINT


def test_a_full_checkpoint_is_identified_in_milliseconds() -> None:
    whole = header(*SDXL)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        identify(whole)
        best = min(best, time.perf_counter() - began)
    # Far above what it takes, for machines that do other things meanwhile.
    assert best < 0.03


def test_every_architecture_can_be_searched_for() -> None:
    rules = (*diffusion.ARCHITECTURES, *vaes.ARCHITECTURES, *vaes.LIKELY)
    assert {rule.value for rule in rules} <= set(BASES)
    assert set(diffusion.EDITIONS) | set(diffusion.VARIANTS) <= set(BASES)


def test_the_documented_tables_are_those_of_the_program() -> None:
    page = Path(__file__).parents[3] / "docs" / "identify.md"
    text = page.read_text(encoding="utf-8")
    assert text == tables.rewritten(text)

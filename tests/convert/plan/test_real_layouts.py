"""Plans of the layouts of real, published files of many architectures."""

from __future__ import annotations

import pytest

from modelhub.convert.options import ConvertOptions, Extract, Precision
from modelhub.convert.plan import make_plan
from modelhub.formats.identify import identify
from tests.convert.made import Made, MadeSource
from tests.formats.identify.real_headers import Case, cases, described_header

DESCRIBED = [case for case in cases() if case.described]


def source_of(name: str, dtype: str) -> MadeSource:
    header = described_header(name, dtype)
    tensors = {name: Made(name, one.dtype, one.shape) for name, one in header.tensors.items()}
    return MadeSource(tensors, format=header.format, metadata=header.metadata)


@pytest.mark.parametrize("case", DESCRIBED, ids=lambda case: case.name)
def test_a_pruned_file_is_still_the_model_that_it_was(case: Case) -> None:
    source = source_of(case.name, case.dtype)
    plan = make_plan(source, ConvertOptions(dtype=Precision.BF16, prune=True))
    before = identify(source.header)
    assert (plan.identity.kind, plan.identity.architecture, plan.identity.edition) == (
        before.kind,
        before.architecture,
        before.edition,
    )
    assert len(plan.tensors) + len(plan.dropped) == len(source.tensors)


@pytest.mark.parametrize(
    ("part", "encoder"),
    [(Extract.CLIP_L, "CLIP-L"), (Extract.CLIP_G, "OpenCLIP-bigG"), (Extract.T5XXL, "T5-XXL")],
)
def test_each_of_the_three_text_encoders_of_sd3_can_be_taken_out(
    part: Extract, encoder: str
) -> None:
    source = source_of("sd3-medium-incl-clips-t5", "F16")
    plan = make_plan(source, ConvertOptions(extract=part))
    assert plan.identity.text_encoders == (encoder,)

from __future__ import annotations

import itertools

import pytest

from modelhub.convert.options import Precision
from modelhub.errors import UsageError
from modelhub.render.axes import AxisKind, parse_axis
from modelhub.render.matrix import expand, precision_reference
from modelhub.render.request import Recipe, Request, Settings, Weighted

LORAS = (Weighted("/l/ink.safetensors", 0.8), Weighted("/l/Detail.safetensors", 0.4))
REQUEST = Request(
    id="r",
    recipe=Recipe(model="/m/one.safetensors", loras=LORAS),
    settings=Settings(prompt="a cat", steps=20),
    preview=True,
)


def test_one_axis_is_one_row_that_differs_in_nothing_else() -> None:
    matrix = expand(REQUEST, [parse_axis("steps=10,30")])
    assert matrix.rows == ()
    assert matrix.columns == ("steps 10", "steps 30")
    [[ten, thirty]] = matrix.cells
    assert (ten.id, thirty.id) == ("r-0-0", "r-0-1")
    assert (ten.settings.steps, thirty.settings.steps) == (10, 30)
    assert ten.recipe == thirty.recipe == REQUEST.recipe
    assert ten.settings.prompt == "a cat"
    assert ten.preview


@pytest.mark.parametrize(
    ("axis", "where", "expected"),
    [
        ("dtype=stored,bf16", "recipe.precision", [None, Precision.BF16]),
        ("file=/a.ckpt,/b.ckpt", "recipe.model", ["/a.ckpt", "/b.ckpt"]),
        ("vae=baked,/v.pt", "recipe.vae", [None, "/v.pt"]),
        ("ema", "recipe.ema", [False, True]),
        ("cfg=1,2", "settings.cfg", [1.0, 2.0]),
        ("sampler=Euler,DDIM", "settings.sampler", ["Euler", "DDIM"]),
        ("clip-skip", "settings.clip_skip", [1, 2]),
        ("seed=7,8", "settings.seed", [7, 8]),
        ("prompt=x,y", "settings.prompt", ["x", "y"]),
    ],
)
def test_each_axis_varies_its_own_field(axis: str, where: str, expected: list[object]) -> None:
    [cells] = expand(REQUEST, [parse_axis(axis)]).cells
    struct, field = where.split(".")
    assert [getattr(getattr(cell, struct), field) for cell in cells] == expected


def test_every_axis_can_be_expanded() -> None:
    usual = {AxisKind.LORA: "=none", AxisKind.SAMPLER: "=Euler", AxisKind.PROMPT: "=x"}
    for kind in AxisKind:
        axis = parse_axis(f"{kind}{usual.get(kind, '')}", files=["/a"], vae="/v")
        assert len(expand(REQUEST, [axis]).cells[0]) == len(axis.values)


def test_lora_weights_are_set_for_all_or_for_the_one_that_is_named() -> None:
    [[all_of_them]] = expand(REQUEST, [parse_axis("lora-weight=0.5")]).cells
    [[one]] = expand(REQUEST, [parse_axis("lora-weight:detail=0")]).cells
    assert [lora.weight for lora in all_of_them.recipe.loras] == [0.5, 0.5]
    assert [lora.weight for lora in one.recipe.loras] == [0.8, 0]


def test_two_loras_can_be_weighed_against_each_other() -> None:
    axes = [parse_axis("lora-weight:ink=0,1"), parse_axis("lora-weight:detail=0,1")]
    matrix = expand(REQUEST, axes)
    weights = [[[one.weight for one in cell.recipe.loras] for cell in row] for row in matrix.cells]
    assert weights == [[[0, 0], [1, 0]], [[0, 1], [1, 1]]]


@pytest.mark.parametrize("order", [1, -1])
def test_loras_can_be_compared_at_several_weights_in_either_order(order: int) -> None:
    request = Request(id="r", recipe=Recipe(model="/m"), settings=Settings())
    axes = [parse_axis("lora=none,/l/ink.pt"), parse_axis("lora-weight=0.5,1")][::order]
    cells = itertools.chain(*expand(request, axes).cells)
    found = [[(one.path, one.weight) for one in cell.recipe.loras] for cell in cells]
    assert sorted(found) == [[], [], [("/l/ink.pt", 0.5)], [("/l/ink.pt", 1.0)]]


def test_the_first_axis_goes_across_and_the_second_down() -> None:
    matrix = expand(REQUEST, [parse_axis("cfg=4,7,10"), parse_axis("dtype=fp16,fp32")])
    assert (matrix.columns, matrix.rows) == (("CFG 4", "CFG 7", "CFG 10"), ("fp16", "fp32"))
    assert matrix.cells[1][2].settings.cfg == 10
    assert matrix.cells[1][2].recipe.precision is Precision.FP32


@pytest.mark.parametrize("axes", [("dtype", "steps=1,2,3"), ("steps=1,2,3", "dtype")])
def test_what_is_dear_to_change_changes_least_often_whichever_axis_it_is(
    axes: tuple[str, str],
) -> None:
    matrix = expand(REQUEST, [parse_axis(text) for text in axes])
    made = [matrix.cells[row][column].recipe.precision for row, column in matrix.order]
    assert len(list(itertools.groupby(made))) == 3
    every = {(row, column) for row in range(len(matrix.rows)) for column in range(3)}
    assert set(matrix.order) == every
    assert len(matrix.order) == len(every)


@pytest.mark.parametrize(
    ("axes", "reason"),
    [
        ([], "one axis or two, not 0"),
        (["steps", "cfg", "seed"], "not 3"),
        (["steps=1", "steps=2"], "the same axis twice"),
        (["seed=0..20", "steps=1..20"], "420 pictures to compare are more than 400"),
        (["lora-weight:sepia=1"], "no LoRA is called that"),
    ],
)
def test_a_comparison_that_makes_no_sense_is_refused(axes: list[str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        expand(REQUEST, [parse_axis(text) for text in axes])


def test_lora_weights_without_a_lora_are_refused_with_a_hint() -> None:
    request = Request(id="r", recipe=Recipe(model="/m"), settings=Settings())
    with pytest.raises(UsageError, match="no LoRA is used") as refused:
        expand(request, [parse_axis("lora-weight")])
    assert "--lora" in refused.value.hint


@pytest.mark.parametrize(
    ("axis", "column"),
    [
        ("dtype", 1),
        ("dtype=bf16,stored", 1),
        ("dtype=bf16,fp16", 0),
        ("dtype=fp16", None),
        ("steps", None),
    ],
)
def test_precisions_are_compared_with_fp32_where_it_is_there(axis: str, column: int | None) -> None:
    assert precision_reference(parse_axis(axis)) == column

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from modelhub.render.images.grid import LONGEST_SIDE, Cell, grid
from modelhub.render.images.pictures import MOST_PIXELS
from tests.render.images.scenes import noisy, opened, png, scene


def _holds(whole: np.ndarray, part: np.ndarray) -> list[tuple[int, int]]:
    """Where (y, x) `part` stands in `whole`, pixel by pixel."""
    height, width = part.shape[:2]
    starts = np.argwhere((whole[:-height, :-width] == part[0, 0]).all(axis=2))
    return [
        (int(y), int(x))
        for y, x in starts
        if np.array_equal(whole[y : y + height, x : x + width], part)
    ]


def test_pictures_stand_in_rows_and_columns_unchanged() -> None:
    parts = [
        [noisy(scene(200, 200, row * 0.7 + column / 5), 5) for column in range(3)] for row in (0, 1)
    ]
    whole = opened(grid([[Cell(png(part)) for part in line] for line in parts]))
    places = [[_holds(whole, part) for part in line] for line in parts]
    assert all(len(found) == 1 for line in places for found in line)
    corners = [[found[0] for found in line] for line in places]
    assert [y for y, _ in corners[0]] == [corners[0][0][0]] * 3
    assert [x for _, x in corners[0]] == [x for _, x in corners[1]]
    assert corners[0][0][1] + 200 < corners[0][1][1]
    assert corners[0][0][0] + 200 < corners[1][0][0]


def test_labels_and_title_are_drawn_around_and_not_over_the_pictures() -> None:
    part = noisy(scene(200, 220), 5)
    plain = opened(grid([[Cell(png(part))]]))
    labelled = opened(
        grid([[Cell(png(part))]], rows=["seed 1"], columns=["fp16"], title="T", footnote="cpu")
    )
    [(y, x)] = _holds(labelled, part)
    [(plain_y, plain_x)] = _holds(plain, part)
    assert (y > plain_y, x > plain_x) == (True, True)
    assert (labelled[:y] < 128).any()
    assert (labelled[y : y + 200, :x] < 128).any()
    assert (labelled[y + 200 :] < 255).any()


def test_other_labels_give_another_picture() -> None:
    cells = [[Cell(png(scene(200, 200)))]]
    assert grid(cells, columns=["fp16"]) != grid(cells, columns=["bf16"])
    assert grid(cells, columns=["fp16"]) == grid(cells, columns=["fp16"])


def test_pictures_of_other_sizes_and_aspects_share_a_grid() -> None:
    wide, high = noisy(scene(120, 300), 4), noisy(scene(260, 90), 4)
    whole = opened(grid([[Cell(png(wide)), Cell(png(high))]]))
    [(wide_y, _)] = _holds(whole, wide)
    [(high_y, high_x)] = _holds(whole, high)
    assert wide_y == high_y
    assert high_x > 300


def test_a_failed_cell_says_why_in_its_place() -> None:
    good = Cell(png(scene(200, 200)))
    silent = opened(grid([[good, Cell(failure=" ")]]))
    spoken = opened(grid([[good, Cell(failure="out of memory: 7.9 GiB were needed")]]))
    assert silent.shape == spoken.shape
    assert (silent != spoken).any()
    assert (spoken[:, 230:] < 100).any()


def test_a_grid_of_failures_alone_is_a_grid() -> None:
    whole = opened(grid([[Cell(failure="the worker died")]] * 2, rows=["a", "b"]))
    assert whole.shape[0] > 500


def test_a_damaged_picture_is_told_in_its_cell_and_the_others_are_drawn() -> None:
    part = noisy(scene(200, 200), 3)
    cut_off = png(noisy(part, 60))[:-4000]
    whole = opened(grid([[Cell(b"no picture"), Cell(cut_off), Cell(png(part))]]))
    assert len(_holds(whole, part)) == 1


def test_tiny_pictures_are_enlarged_without_smoothing() -> None:
    part = noisy(scene(64, 64), 5)
    whole = opened(grid([[Cell(png(part))]]))
    assert len(_holds(whole, part.repeat(3, axis=0).repeat(3, axis=1))) == 1


@pytest.mark.parametrize(("side", "pixels"), [(1_500, MOST_PIXELS), (LONGEST_SIDE, 400_000)])
def test_too_many_large_pictures_are_scaled_down_to_the_bounds(
    side: int, pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelhub.render.images.grid.LONGEST_SIDE", side)
    monkeypatch.setattr("modelhub.render.images.grid.MOST_PIXELS", pixels)
    cell = Cell(png(scene(200, 300)))
    whole = grid([[cell] * 10] * 3, rows=["a", "b", "c"], columns=[str(n) for n in range(10)])
    width, height = Image.open(io.BytesIO(whole)).size
    assert max(width, height) <= side
    assert width * height <= pixels
    assert width > 1_000


def test_the_bounds_are_those_that_every_program_opens_without_a_warning() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert Image.MAX_IMAGE_PIXELS > MOST_PIXELS


def test_four_hundred_pictures_in_one_row_are_still_drawn() -> None:
    whole = grid([[Cell(png(scene(64, 64)))] * 400], columns=[f"seed {n}" for n in range(400)])
    assert Image.open(io.BytesIO(whole)).width <= LONGEST_SIDE


@pytest.mark.parametrize(
    "label", ["漢" * 300, "\u202e\x1b[2J", "w" * 5000, "\n" * 50, "", "🦊 👩‍👩‍👧"]
)
def test_no_label_breaks_a_grid(label: str) -> None:
    cells = [[Cell(png(scene(64, 64)), caption=label), Cell(failure=label)]]
    whole = grid(cells, rows=[label], columns=[label, label], title=label, footnote=label)
    assert Image.open(io.BytesIO(whole)).height < 3000


def test_labels_that_do_not_match_the_cells_are_refused() -> None:
    cell = Cell(png(scene(64, 64)))
    with pytest.raises(ValueError, match="as many labels"):
        grid([[cell]], columns=["a", "b"])
    with pytest.raises(ValueError, match="the same number"):
        grid([[cell, cell], [cell]])
    with pytest.raises(ValueError, match="needs cells"):
        grid([])

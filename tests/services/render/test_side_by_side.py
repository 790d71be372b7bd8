from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.errors import AddonMisfit, NameTaken, UnknownFile, UsageError
from modelhub.progress import Notice
from modelhub.render.images.pictures import picture_size
from tests.render import tiny

from .conftest import Studio


def test_precisions_are_compared_with_their_differences_in_figures(stocked: Studio) -> None:
    report = stocked.render("base", compare=("dtype",))
    assert [one.label for one in report.made] == ["fp16", "fp32", "bf16"]
    assert [one.kept.weights for one in report.made] == ["fp16", "fp32", "bf16"]
    [grid] = report.grids
    assert grid.columns[0] == "fp16 weights, fp32 arithmetic"
    assert len(grid.columns) == 5, "three pictures and two differences"
    wide, high = picture_size(grid.path.read_bytes())
    assert wide > high
    for apart in grid.differences:
        assert apart.psnr is not None
        assert apart.psnr > 20
        assert 0 < apart.max_difference < 255
        assert f"PSNR {apart.psnr:.1f} dB" in apart.sentence


def test_lora_weights_are_compared_and_no_weight_is_the_base(stocked: Studio) -> None:
    report = stocked.render("style", compare=("lora-weight=0,1",), triggers=False)
    [without, with_it] = report.made
    base = stocked.one("base")
    assert without.kept.pixels_sha256 == base.kept.pixels_sha256
    assert with_it.kept.pixels_sha256 != base.kept.pixels_sha256
    assert report.grids[0].differences == ()


def test_two_axes_make_rows_and_columns(stocked: Studio) -> None:
    report = stocked.render("base", compare=("seed=1,2", "cfg=2,3"))
    assert [one.label for one in report.made] == [
        "seed 1, CFG 2",
        "seed 2, CFG 2",
        "seed 1, CFG 3",
        "seed 2, CFG 3",
    ]
    [grid] = report.grids
    assert (grid.columns, grid.rows) == (("seed 1", "seed 2"), ("CFG 2", "CFG 3"))


def test_precisions_go_across_whichever_axis_comes_first(stocked: Studio) -> None:
    report = stocked.render("base", compare=("seed=1,2", "dtype=fp16,fp32"))
    [grid] = report.grids
    assert grid.rows == ("seed 1", "seed 2")
    assert [one.of.partition(":")[0] for one in grid.differences] == ["seed 1", "seed 2"]


def test_files_are_compared_and_one_that_cannot_be_rendered_says_why_in_its_place(
    stocked: Studio,
) -> None:
    other = tiny.write_sd1(stocked.root / "other.safetensors", seed=8)
    broken = stocked.root / "broken.safetensors"
    broken.write_bytes(other.read_bytes()[:5000])
    paths = [stocked.root / "base.safetensors", broken, other]
    report = stocked.render(*paths, compare=("file",))
    assert [one.tested for one in report.made] == [paths[0], other]
    [failed] = report.failed
    assert failed.label == "broken"
    assert report.grids[0].columns == ("base", "broken", "other")


def test_loras_are_compared_on_one_base(stocked: Studio) -> None:
    second = tiny.write_lora(stocked.root / "second.safetensors", seed=77)
    report = stocked.render(stocked.root / "style.safetensors", second, compare=("file",))
    assert [one.tested.name for one in report.made] == ["style.safetensors", "second.safetensors"]
    bases = {one.kept.files[0].file.name for one in report.made}
    assert bases == {"base.safetensors"}
    assert len({one.kept.pixels_sha256 for one in report.made}) == 2


def test_the_baked_vae_is_compared_with_another(stocked: Studio) -> None:
    report = stocked.render("base", vae="soft.vae", compare=("vae",))
    assert [one.label for one in report.made] == ["baked VAE", "soft.vae"]
    assert len({one.kept.pixels_sha256 for one in report.made}) == 2


def test_every_file_has_its_own_grid_where_files_are_not_compared(stocked: Studio) -> None:
    tiny.write_sd1(stocked.root / "other.safetensors", seed=8)
    stocked.index()
    report = stocked.render("base", "other", compare=("cfg=2,3",))
    assert len(report.made) == 4
    assert [one.path.name for one in report.grids] == ["base-cfg.png", "other-cfg.png"]


def test_a_grid_goes_where_it_is_asked_and_replaces_nothing(
    stocked: Studio, tmp_path: Path
) -> None:
    wanted = tmp_path / "grids" / "mine.png"
    report = stocked.render("base", compare=("cfg=2,3",), grid=wanted)
    assert report.grids[0].path == wanted
    with pytest.raises(NameTaken):
        stocked.render("base", compare=("cfg=2,3",), grid=wanted)


def test_what_a_comparison_names_must_be_there_and_fit(stocked: Studio, tmp_path: Path) -> None:
    with pytest.raises(UnknownFile):
        stocked.render("base", compare=("vae=baked,unheard",))
    with pytest.raises(UsageError, match="no such axis"):
        stocked.render("base", compare=("colour",))
    wrong = tiny.write_lora(tmp_path / "xl.safetensors", sdxl_one=True)
    report = stocked.render("base", compare=(f"lora=none,{wrong}",))
    assert len(report.made) == 1
    assert isinstance(report.failed[0].error, AddonMisfit)


def test_a_remark_is_made_once_for_all_pictures(stocked: Studio) -> None:
    stocked.render("base", compare=("seed=1,2,3",))
    said = [event.text for event in stocked.told if isinstance(event, Notice)]
    assert sum("far from the 512" in text for text in said) == 1

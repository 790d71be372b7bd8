from __future__ import annotations

from collections.abc import Callable

import pytest

from modelhub.formats.identify.adapters import identify_adapter
from modelhub.formats.identity import Identity
from tests.formats.identify import adapter_layouts as made
from tests.formats.identify.layouts import Shapes, because, header


def told(*parts: Shapes) -> Identity:
    found = identify_adapter(header(*parts))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("architecture", "edition", "modules"),
    [
        ("sd1", None, made.SD1),
        ("sd2", None, made.SD2),
        ("sdxl", None, made.SDXL),
        ("sdxl", None, made.SDXL_DIFFUSERS),
        ("sdxl", "refiner", made.REFINER),
        ("svd", None, made.SVD),
        ("flux", None, made.FLUX),
        ("flux", None, made.FLUX_DIFFUSERS),
        ("flux2", "dev", made.FLUX2),
        ("flux2", "klein 9B", made.FLUX2_KLEIN),
        ("flux2", "klein 4B", made.FLUX2_KLEIN_4B),
        ("chroma", None, made.CHROMA),
        ("hunyuanvideo", None, made.HUNYUAN_VIDEO),
        ("hunyuanvideo", None, made.HUNYUAN_VIDEO_ATTENTION),
        ("hunyuanimage", None, made.HUNYUAN_IMAGE),
        ("hunyuan", None, made.HUNYUAN_DIT),
        ("sd3", None, made.SD3),
        ("sd3", "3.5 medium", made.SD35_MEDIUM),
        ("sd3", "3.5 large", made.SD35_LARGE),
        ("qwen", None, made.QWEN),
        ("qwen", "2.1", made.QWEN_21),
        ("wan", "14B", made.WAN_14B),
        ("wan", "14B", made.WAN_DIFFUSERS),
        ("wan", "1.3B", made.WAN_1B),
        ("wan", "2.2 ti2v 5B", made.WAN_5B),
        ("wan", "2.1 i2v 14B", made.WAN_I2V),
        ("pixart", None, made.PIXART),
        ("pixart", None, made.PIXART_ORIGINAL),
        ("ltxv", "2B", made.LTX),
        ("cogvideox", "2B", made.COGVIDEO),
        ("mochi", None, made.MOCHI),
        ("auraflow", None, made.AURA),
        ("hidream", None, made.HIDREAM),
        ("lumina", None, made.LUMINA),
        ("zimage", None, made.ZIMAGE),
        ("anima", None, made.ANIMA),
        ("krea2", None, made.KREA2),
        ("krea2", None, made.KREA2_DIFFUSERS),
        ("cascade", None, made.CASCADE),
    ],
)
@pytest.mark.parametrize("trainer", ["kohya", "dotted", "peft", "bare", "loha", "lokr"])
def test_the_base_is_told_by_blocks_and_widths_whoever_trained_it(
    architecture: str, edition: str | None, modules: made.Modules, trainer: str
) -> None:
    shapes = {
        "kohya": made.kohya(modules),
        "dotted": made.kohya(modules, "diffusion_model."),
        "peft": made.peft(modules, "transformer."),
        "bare": made.peft(modules, ""),
        "loha": made.loha(modules),
        "lokr": made.lokr(modules, "lycoris_"),
    }[trainer]
    found = told(shapes)
    assert (found.architecture, found.edition) == (architecture, edition)
    assert because(found, "architecture")[0].certain


def test_the_double_underscore_of_musubi_is_read() -> None:
    found = told(made.kohya(made.ZIMAGE, "lora_unet__"))
    assert found.architecture == "zimage"


def test_flux_without_modulation_may_be_chroma_and_is_a_guess() -> None:
    modules = {key: value for key, value in made.FLUX.items() if "mod" not in key}
    found = told(made.kohya(modules))
    assert found.architecture == "flux"
    assert "architecture" in found.guessed


def test_attention_of_the_width_of_qwen_alone_is_a_guess() -> None:
    found = told(made.peft(made.QWEN_ATTENTION))
    assert found.architecture == "qwen"
    assert "architecture" in found.guessed


@pytest.mark.parametrize(
    ("width", "edition", "variant"),
    [(128, "canny or depth", "control"), (384, "fill", "inpainting")],
)
@pytest.mark.parametrize("prefix", ["", "diffusion_model."])
def test_a_wider_first_layer_of_flux_tells_its_edition(
    width: int, edition: str, variant: str, prefix: str
) -> None:
    found = told(made.peft({**made.FLUX, "img_in": (3072, width)}, prefix))
    assert (found.architecture, found.edition) == ("flux", edition)
    assert found.variants == (variant,)


def test_a_first_layer_of_nine_channels_is_for_inpainting() -> None:
    found = told(made.kohya({**made.SD1, "conv_in": (320, 9)}))
    assert (found.architecture, found.variants) == ("sd1", ("inpainting",))


def test_a_motion_lora_says_so() -> None:
    found = told(made.processors(made.MOTION))
    assert found.architecture == "sd1"
    assert found.variants == ("motion",)


def test_without_cross_attention_the_depth_of_the_blocks_tells_sdxl() -> None:
    modules = {key: value for key, value in made.SDXL.items() if "attn2" not in key}
    found = told(made.kohya(modules))
    assert found.architecture == "sdxl"
    assert "several transformers" in because(found, "architecture")[0].because


def test_without_cross_attention_the_first_level_makes_sd1_a_guess() -> None:
    modules = {key: value for key, value in made.SD1.items() if "attn2" not in key}
    found = told(made.kohya(modules))
    assert found.architecture == "sd1"
    assert "architecture" in found.guessed


def test_its_text_encoder_tells_sd2_where_the_unet_does_not() -> None:
    modules = {key: value for key, value in made.SD2.items() if "attn2" not in key}
    found = told(made.kohya(modules), made.kohya(made.clip(23, 1024), "lora_te_"))
    assert found.architecture == "sd2"
    assert found.text_encoders == ("OpenCLIP-H",)


@pytest.mark.parametrize(
    ("prefixes", "build"),
    [
        (("lora_te1_", "lora_te2_"), made.kohya),
        (("text_encoder.", "text_encoder_2."), made.peft),
    ],
)
def test_both_text_encoders_alone_are_likely_sdxl(
    prefixes: tuple[str, str], build: Callable[[made.Modules, str], Shapes]
) -> None:
    found = told(
        build(made.clip(12, 768), prefixes[0]),
        build(made.clip(32, 1280), prefixes[1]),
    )
    assert found.architecture == "sdxl"
    assert "architecture" in found.guessed
    assert found.text_encoders == ("CLIP-L", "OpenCLIP-bigG")


def test_the_text_encoders_of_flux_are_named() -> None:
    found = told(
        made.kohya(made.clip(12, 768), "lora_te1_"),
        made.kohya(made.T5, "lora_te3_"),
        made.kohya(made.FLUX),
    )
    assert found.architecture == "flux"
    assert found.text_encoders == ("CLIP-L", "T5-XXL")


def test_one_text_encoder_for_many_models_tells_nothing() -> None:
    assert told(made.kohya(made.clip(12, 768), "lora_te1_")).architecture is None


def test_unknown_blocks_are_unknown() -> None:
    found = told(made.peft({"stages.0.mixer.in_proj": (512, 256)}, ""))
    assert found.architecture is None
    assert found.adapter == "peft"

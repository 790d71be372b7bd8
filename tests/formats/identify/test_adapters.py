from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.formats.identify.adapters import identify_adapter
from modelhub.formats.identity import Identity, ModelKind
from modelhub.formats.tensors import FileFormat, Header, Tensor
from tests.formats.identify import adapter_layouts as made
from tests.formats.identify.layouts import Shapes, because, header, listed


def told(*parts: Shapes) -> Identity:
    found = identify_adapter(header(*parts))
    assert found is not None
    assert found.kind is ModelKind.LORA
    for field in ("kind", "adapter"):
        assert because(found, field), field
    return found


@pytest.mark.parametrize(
    ("adapter", "shapes", "rank"),
    [
        ("kohya", made.kohya(made.SD1, rank=32), 32),
        ("dora", made.dora(made.SD1), 8),
        ("loha", made.loha(made.SD1), 4),
        ("lokr", made.lokr(made.SD1), 4),
        ("oft", made.oft(made.SD1), None),
        ("oft", made.oft(made.SD1, "oft_unet_"), None),
        ("boft", made.boft(made.SD1), None),
        ("glora", made.glora(made.SD1), None),
        ("ia3", made.ia3(made.SD1), None),
        ("full", made.full(made.SD1), None),
        ("peft", made.peft(made.SD1, "base_model.model."), 16),
        ("diffusers", made.peft(made.SD1, "unet."), 16),
        ("diffusers", made.processors(made.SD1), 4),
    ],
)
def test_every_family_is_told_by_its_weights(
    adapter: str, shapes: Shapes, rank: int | None
) -> None:
    found = told(shapes)
    assert found.adapter == adapter
    assert found.rank == rank
    assert found.architecture == "sd1"


@pytest.mark.parametrize("unet", ["LoRA-v1-UNET", "LoRA-v1A-UNET"])
@pytest.mark.parametrize("clip", ["LoRA-v1-CLIP", "LoRA-v1A-CLIP"])
def test_a_real_lora_of_sd1_is_named_by_its_cross_attention(unet: str, clip: str) -> None:
    found = told(listed(clip, rank=16), listed(unet, rank=16))
    assert (found.adapter, found.architecture, found.rank) == ("kohya", "sd1", 16)
    assert found.text_encoders == ("CLIP-L",)
    assert found.precision == "fp16"
    assert "cross-attention width 768" in because(found, "architecture")[0].because
    assert {one.value for one in because(found, "parts")} == {"unet", "te1"}


def test_convolutions_of_3x3_make_a_locon() -> None:
    convolution: Shapes = {
        "lora_unet_down_blocks_0_resnets_0_conv1.alpha": (),
        "lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight": (8, 320, 3, 3),
        "lora_unet_down_blocks_0_resnets_0_conv1.lora_up.weight": (320, 8, 1, 1),
    }
    assert told(made.kohya(made.SD1), convolution).adapter == "locon"


def test_a_tucker_decomposition_makes_a_locon() -> None:
    convolution: Shapes = {
        "lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight": (8, 320, 1, 1),
        "lora_unet_down_blocks_0_resnets_0_conv1.lora_mid.weight": (8, 8, 3, 3),
        "lora_unet_down_blocks_0_resnets_0_conv1.lora_up.weight": (320, 8, 1, 1),
    }
    found = told(made.kohya(made.SD1), convolution)
    assert found.adapter == "locon"
    assert "Tucker" in because(found, "adapter")[0].because


def test_projections_of_1x1_make_no_locon() -> None:
    assert told(listed("LoRA-v1-UNET", rank=4)).adapter == "kohya"


def test_a_magnitude_beside_another_family_is_a_variant_of_it() -> None:
    scales: Shapes = {f"{name}.dora_scale": (1, 320) for name in
              {key.rpartition(".")[0] for key in made.lokr(made.SD1)}}  # fmt: skip
    found = told(made.lokr(made.SD1), scales)
    assert found.adapter == "lokr"
    assert found.variants == ("dora",)


def test_the_processors_of_xlabs_are_its_own_family() -> None:
    found = told(
        {
            f"double_blocks.{n}.processor.{module}.{half}.weight": shape
            for n in range(19)
            for module, out in (("qkv_lora1", 9216), ("proj_lora2", 3072))
            for half, shape in (("down", (16, 3072)), ("up", (out, 16)))
        }
    )
    assert (found.adapter, found.architecture, found.rank) == ("xlabs", "flux", 16)


def test_the_first_trainer_numbered_its_layers() -> None:
    shapes: Shapes = {
        f"{part}:{n}:{half}": shape
        for part, width in (("unet", 768), ("text_encoder", 768))
        for n in range(20)
        for half, shape in (("down", (4, width)), ("up", (320, 4)))
    }
    found = told(shapes, {"<s1>": (768,)})
    assert (found.adapter, found.architecture, found.rank) == ("cloneofsimo", "sd1", 4)


def test_a_rank_that_differs_is_told_with_its_bounds() -> None:
    low = {"mid_block.attentions.0.transformer_blocks.0.attn1.to_q": (1280, 1280)}
    found = told(made.kohya(made.SD1, rank=64), made.kohya(low, rank=4))
    assert found.rank == 64
    assert "from 4 to 64" in because(found, "rank")[0].because


def test_parameters_are_counted_alike_by_length_and_by_shapes() -> None:
    whole = header(made.kohya(made.SD1))
    bare = Header(format=FileFormat.TORCH_ZIP, tensors=whole.tensors)
    one, other = identify_adapter(whole), identify_adapter(bare)
    assert one is not None
    assert other is not None
    assert one.parameters == other.parameters


def test_two_precisions_are_mixed() -> None:
    found = identify_adapter(
        header((made.kohya(made.SD1), "F16"), (made.kohya(made.clip(12, 768), "lora_te_"), "F32"))
    )
    assert found is not None
    assert found.precision == "mixed"


@pytest.mark.parametrize(
    "name", ["UNET-v1-SD", "UNET-XL-SD", "VAE-v1-SD", "CLIP-v1-SD", "ControlNet-v1-SD"]
)
def test_a_model_is_no_adapter(name: str) -> None:
    assert identify_adapter(header(listed(name))) is None


def test_a_quantised_model_with_low_rank_branches_is_no_adapter() -> None:
    block = "transformer_blocks.{}.attn.to_qkv"
    shapes: Shapes = {
        f"{block.format(n)}.{ending}": shape
        for n in range(19)
        for ending, shape in {
            "qweight": (9216, 1536),
            "wscales": (48, 9216),
            "lora_down.weight": (3072, 32),
            "lora_up.weight": (9216, 32),
        }.items()
    }
    assert identify_adapter(header(shapes)) is None


@pytest.mark.parametrize(
    ("inside", "beside"),
    [
        ("ip_adapter.{}.to_q_lora.{}.weight", "image_proj.proj.0.weight"),
        ("lora_weights.unet.up_blocks.{}.attn1.processor.to_q_lora.{}.weight", "id_encoder.a"),
    ],
)
def test_low_rank_layers_inside_of_something_else_make_no_adapter(inside: str, beside: str) -> None:
    shapes: Shapes = {
        inside.format(number, half): (128, 320) for number in range(16) for half in ("down", "up")
    }
    assert identify_adapter(header({**shapes, beside: (1024, 512)})) is None


def test_nothing_is_no_adapter() -> None:
    assert identify_adapter(header()) is None


_PIECES = (
    "lora_unet_ lora_te_ lora_te1_ lora_te2_ unet. transformer. base_model.model. text_encoder. "
    "text_encoder_2. down_blocks_0_ double_blocks_1_ attn2_to_k attn2.to_k blocks. layers.3. "
    ".lora_down.weight .lora_up.weight .lora_A.weight .lora_B .alpha .dora_scale .hada_w1_b .diff "
    ".lokr_w1 .lokr_w2_b .oft_blocks .a2.weight :down :up _lora_down.weight . : \n ï mid 0 weight "
    "text_model_encoder_layers_0_self_attn_q_proj motion_modules_ joint_blocks_"
)
_WORDS = st.sampled_from(_PIECES.split(" "))
_NAMES = st.lists(_WORDS, max_size=5).map("".join) | st.text(max_size=20)
_SHAPES = st.lists(st.integers(0, 1 << 62) | st.sampled_from([0, 1, 768, 2048]), max_size=5)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(_NAMES, st.tuples(st.sampled_from(["F16", "F32", "?"]), _SHAPES)))
def test_no_names_and_shapes_make_it_raise(tensors: dict[str, tuple[str, list[int]]]) -> None:
    found = identify_adapter(
        Header(
            format=FileFormat.SAFETENSORS,
            tensors={
                name: Tensor(dtype, tuple(shape), (0, 0))
                for name, (dtype, shape) in tensors.items()
            },
        )
    )
    assert found is None or found.kind is ModelKind.LORA


def test_a_lora_of_200_tensors_takes_microseconds() -> None:
    names = {**listed("LoRA-v1A-CLIP"), **listed("LoRA-v1A-UNET")}
    lora = header(dict(list(names.items())[500:700]))
    best = min(_seconds(lora) for _ in range(5))
    # Some 50 microseconds on an idle machine: the bound only catches what is out of all scale.
    assert best < 500e-6


def _seconds(lora: Header, rounds: int = 50) -> float:
    started = time.thread_time()
    for _ in range(rounds):
        identify_adapter(lora)
    return (time.thread_time() - started) / rounds

"""How a model is rendered where nobody says anything else, as data.

Each row names its source: a model card, a program's defaults, or a pipeline's of diffusers.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.render.request import Settings


@dataclass(frozen=True, slots=True)
class Default:
    """What one thing that is known of a model says about its settings.

    :param given: the settings, the others None.
    :param source: of the figures.
    :param architecture, edition, variant, family: of the identity; None: whichever.
    :param certain: only where tensors or metadata say that it is the variant, not its name.
    :param tags: words that the makers put before every prompt.
    """

    given: Settings
    source: str
    architecture: str | None = None
    edition: str | None = None
    variant: str | None = None
    family: str | None = None
    certain: bool = False
    tags: tuple[str, ...] = ()


def _square(pixels: int, steps: int, cfg: float, sampler: str, schedule: str) -> Settings:
    return Settings(
        width=pixels, height=pixels, steps=steps, cfg=cfg, sampler=sampler, schedule=schedule
    )


WAN = (
    Default(
        _square(1024, 50, 5.0, "UniPC bh2", "simple"),
        "Wan-Video/Wan2.1 generate.py, t2i-14B: 1024 pixels, 50 steps of UniPC, guidance 5",
        "wan",
    ),
    Default(
        Settings(width=832, height=480, cfg=6.0),
        "Wan-AI/Wan2.1-T2V-1.3B: 480 pixels, guidance 6",
        "wan",
        "2.1 t2v 1.3B",
    ),
    Default(
        Settings(steps=40, cfg=4.0),
        "Wan-Video/Wan2.2 wan/configs/wan_t2v_A14B.py: 40 steps, guidance 4 and 3",
        "wan",
        "2.2 t2v 14B",
    ),
    Default(
        Settings(width=1280, height=704),
        "Wan-Video/Wan2.2 wan/configs/wan_ti2v_5B.py: 1280 x 704, 50 steps, guidance 5",
        "wan",
        "2.2 ti2v 5B",
    ),
)
_A1111 = "AUTOMATIC1111/stable-diffusion-webui modules/ui.py and modules/sd_samplers.py"


def _anime(steps: int, cfg: float) -> Settings:
    return Settings(sampler="Euler a", schedule="normal", steps=steps, cfg=cfg, clip_skip=2)


GENERAL = Settings(
    width=512, height=512, steps=20, cfg=7.0, sampler="DPM++ 2M", schedule="karras", clip_skip=1
)
"""A1111's own defaults: :data:`_A1111`."""

BY_MODEL: tuple[Default, ...] = (
    Default(GENERAL, _A1111, "sd1"),
    Default(
        _square(768, 20, 7.0, "DPM++ 2M", "karras"),
        "stabilityai/stable-diffusion-2-1: 768 pixels",
        "sd2",
    ),
    Default(Settings(clip_skip=2), "its text encoder's layer before the last", "sd2"),
    Default(
        Settings(width=512, height=512),
        "stabilityai/stable-diffusion-2-1-base: 512 pixels",
        "sd2",
        "512-base",
    ),
    Default(
        _square(1024, 25, 7.0, "DPM++ 2M", "karras"),
        "stabilityai/stable-diffusion-xl-base-1.0: 1024 pixels; ComfyUI: 25 steps",
        "sdxl",
    ),
    Default(Settings(clip_skip=2), "its text encoders' layer before the last", "sdxl"),
    Default(
        Settings(cfg=3.0, schedule="karras"),
        "playgroundai/playground-v2.5-1024px-aesthetic: guidance 3",
        "sdxl",
        "playground v2.5",
    ),
    Default(
        Settings(sampler="Euler", schedule="karras"), "stabilityai/cosxl: EDM", "sdxl", "cosxl"
    ),
    Default(Settings(cfg=9.0), "segmind/SSD-1B: guidance 9", "sdxl", "ssd-1b"),
    Default(
        _square(1024, 28, 7.0, "Euler", "simple"),
        "stabilityai/stable-diffusion-3-medium: 28 steps, guidance 7",
        "sd3",
    ),
    Default(
        Settings(cfg=3.5),
        "stabilityai/stable-diffusion-3.5-large: 28 steps, guidance 3.5",
        "sd3",
        "3.5 large",
    ),
    Default(
        Settings(steps=40, cfg=4.5),
        "stabilityai/stable-diffusion-3.5-medium: 40 steps, guidance 4.5",
        "sd3",
        "3.5 medium",
    ),
    Default(
        Settings(steps=4, cfg=1.0),
        "stabilityai/stable-diffusion-3.5-large-turbo: 4 steps, no guidance",
        "sd3",
        "3.5 large turbo",
    ),
    Default(
        _square(1024, 28, 3.5, "Euler", "simple"),
        "black-forest-labs/FLUX.1-dev: guidance 3.5; diffusers: 28 steps",
        "flux",
    ),
    Default(
        Settings(cfg=2.5), "black-forest-labs/FLUX.1-Kontext-dev: guidance 2.5", "flux", "kontext"
    ),
    Default(Settings(cfg=30.0), "black-forest-labs/FLUX.1-Fill-dev: guidance 30", "flux", "fill"),
    Default(
        Settings(steps=4, cfg=1.0),
        "black-forest-labs/FLUX.1-schnell: 4 steps, no guidance",
        "flux",
        "schnell",
    ),
    Default(
        _square(1024, 28, 4.0, "Euler", "simple"),
        "black-forest-labs/FLUX.2-dev: 28 steps, guidance 4",
        "flux2",
    ),
    Default(
        Settings(steps=4, cfg=1.0),
        "black-forest-labs/FLUX.2-klein-4B: 4 steps, guidance 1",
        "flux2",
        "klein 4B",
    ),
    Default(
        Settings(steps=4, cfg=1.0),
        "black-forest-labs/FLUX.2-klein-9B: 4 steps, guidance 1",
        "flux2",
        "klein 9B",
    ),
    Default(
        _square(1024, 40, 3.0, "Euler", "simple"),
        "lodestones/Chroma1-HD: 40 steps, guidance 3",
        "chroma",
    ),
    Default(
        _square(1024, 50, 4.0, "Euler", "simple"), "Qwen/Qwen-Image: 50 steps, guidance 4", "qwen"
    ),
    Default(
        Settings(steps=40, cfg=1.0),
        "Qwen/Qwen-Image-2.1 and diffusers: 40 steps, no guidance",
        "qwen",
        "2.1",
    ),
    Default(
        _square(1024, 8, 1.0, "Euler", "simple"),
        "krea/Krea-2-Turbo: 8 steps, no guidance",
        "krea2",
    ),
    Default(
        Settings(steps=52, cfg=4.5),
        "krea/Krea-2-Raw: 52 steps, guidance 3.5, which is a CFG of 4.5",
        "krea2",
        "raw",
    ),
    Default(
        _square(1024, 9, 1.0, "Euler", "simple"),
        "Tongyi-MAI/Z-Image-Turbo: 9 steps, no guidance",
        "zimage",
    ),
    Default(
        _square(1024, 30, 4.0, "Euler", "simple"),
        "Alpha-VLLM/Lumina-Image-2.0: guidance 4; diffusers: 30 steps",
        "lumina",
    ),
    Default(
        _square(1024, 50, 3.5, "Euler", "simple"),
        "fal/AuraFlow-v0.3: 50 steps, guidance 3.5",
        "auraflow",
    ),
    Default(
        _square(1024, 50, 5.0, "UniPC bh2", "simple"),
        "HiDream-ai/HiDream-I1 inference.py: 50 steps of UniPC, guidance 5",
        "hidream",
    ),
    Default(
        Settings(steps=28, cfg=1.0, sampler="LCM", schedule="simple"),
        "HiDream-ai/HiDream-I1 inference.py, dev: 28 steps, no guidance; ComfyUI: LCM",
        "hidream",
        "dev",
    ),
    Default(
        Settings(steps=16, cfg=1.0, sampler="LCM", schedule="simple"),
        "HiDream-ai/HiDream-I1 inference.py, fast: 16 steps, no guidance; ComfyUI: LCM",
        "hidream",
        "fast",
    ),
    *WAN,
    Default(
        _square(1024, 20, 4.5, "DPM++ 2M", "normal"),
        "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS: 20 steps, guidance 4.5",
        "pixart",
    ),
    Default(
        _square(1024, 20, 4.5, "Euler", "simple"),
        "Efficient-Large-Model/Sana_1600M_1024px_diffusers: 20 steps, guidance 4.5",
        "sana",
    ),
    *(
        Default(
            Settings(width=pixels, height=pixels),
            f"Efficient-Large-Model/Sana_1600M_{name}",
            "sana",
            edition,
        )
        for edition, pixels, name in (
            ("512", 512, "512px"),
            ("2K", 2048, "2Kpx_BF16"),
            ("4K", 4096, "4Kpx_BF16"),
        )
    ),
    Default(
        _square(1024, 50, 5.0, "DDIM", "ddim_uniform"),
        "Tencent-Hunyuan/HunyuanDiT-v1.2: 50 steps, guidance 5",
        "hunyuan",
    ),
    Default(
        _square(1024, 50, 5.0, "Euler", "normal"),
        "Kwai-Kolors/Kolors-diffusers: 50 steps, guidance 5",
        "kolors",
    ),
    Default(
        _anime(25, 7.0),
        "Pony Diffusion V6 XL: Euler a, 25 steps, clip skip 2",
        "sdxl",
        family="pony",
        tags=("score_9", "score_8_up", "score_7_up"),
    ),
    Default(
        _anime(28, 6.0),
        "OnomaAIResearch/Illustrious-xl-early-release-v0: Euler a, 20 to 28 steps, CFG 5 to 7.5",
        "sdxl",
        family="illustrious",
        tags=("masterpiece", "best quality"),
    ),
    Default(
        _anime(28, 5.5),
        "Laxhar/noobai-XL-1.1: Euler a, 25 to 30 steps, CFG 5 to 6",
        "sdxl",
        family="noobai",
        tags=("masterpiece", "best quality", "newest", "absurdres", "highres"),
    ),
    Default(
        _anime(28, 7.0),
        "cagliostrolab/animagine-xl-3.1: Euler a, 28 steps, guidance 7",
        "sdxl",
        family="animagine",
        tags=("masterpiece", "best quality"),
    ),
)
"""By architecture, edition and family; each row that holds overrides those before it."""

_FEW = Settings(steps=4, cfg=1.0, sampler="Euler", schedule="sgm_uniform")
BY_VARIANT: tuple[Default, ...] = (
    Default(
        Settings(steps=50, cfg=4.0),
        "black-forest-labs/FLUX.2-klein-base-4B and -9B: 50 steps, guidance 4",
        "flux2",
        variant="base",
    ),
    Default(
        Settings(steps=8),
        "Qwen/Qwen-Image-2.1-Turbo: 8 steps",
        "qwen",
        "2.1",
        variant="turbo",
    ),
    Default(
        Settings(sampler="Euler", schedule="sgm_uniform", cfg=4.5, steps=28),
        "Laxhar/noobai-XL-Vpred-1.0: Euler, CFG 4 to 5, 28 to 35 steps",
        "sdxl",
        variant="v-prediction",
    ),
    Default(
        Settings(schedule="sgm_uniform", sampler="Euler"),
        "arXiv:2305.08891: zero terminal SNR begins with the last step (trailing)",
        variant="zero-terminal-snr",
    ),
    Default(
        _square(512, 4, 1.0, "Euler a", "sgm_uniform"),
        "stabilityai/sd-turbo: 512 pixels, 1 to 4 steps, no guidance",
        "sd2",
        variant="turbo",
    ),
    Default(
        _square(512, 4, 1.0, "Euler a", "sgm_uniform"),
        "stabilityai/sdxl-turbo: 512 pixels, 1 to 4 steps, no guidance",
        "sdxl",
        variant="turbo",
    ),
    Default(_FEW, "ByteDance/SDXL-Lightning: Euler, sgm_uniform, no guidance", variant="lightning"),
    Default(
        Settings(steps=8, cfg=1.0, sampler="DDIM", schedule="sgm_uniform"),
        "ByteDance/Hyper-SD: DDIM, trailing, no guidance",
        variant="hyper",
    ),
    Default(
        Settings(steps=6, cfg=1.5, sampler="LCM", schedule="sgm_uniform"),
        "latent-consistency/lcm-lora-sdv1-5: 2 to 8 steps, guidance 1 to 2",
        variant="lcm",
    ),
    Default(
        Settings(steps=4, cfg=8.0),
        "SimianLuo/LCM_Dreamshaper_v7: guidance 8 goes into the UNet",
        variant="lcm",
        certain=True,
    ),
    Default(
        Settings(steps=4, cfg=1.0, sampler="LCM", schedule="sgm_uniform"),
        "tianweiy/DMD2: LCM, 4 steps, no guidance",
        variant="dmd",
    ),
)
"""By what was changed in the model; after, and over, :data:`BY_MODEL`."""

FLOW_ARCHITECTURES = frozenset(
    {
        "auraflow",
        "chroma",
        "flux",
        "flux2",
        "hidream",
        "krea2",
        "lumina",
        "qwen",
        "sana",
        "sd3",
        "wan",
        "zimage",
    }
)
"""Trained by flow matching: their samplers are others, and no row of a variant holds for them that
does not name them."""

CLIP_SKIP_FROM_TWO = frozenset({"sd2", "sdxl"})
"""Trained with the text encoder's layer before the last, so that 1 is 2 to them."""

ANIME_WORDS = ("anime", "anything", "novelai", "nai", "counterfeit", "orangemix", "abyssorange")
"""In the titles of the SD 1 models that descend from NovelAI's, which was trained with clip skip
2."""

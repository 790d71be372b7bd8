"""Which programs load a result, and from where: the last line of a plan."""

from __future__ import annotations

from typing import NamedTuple

from modelhub.convert.options import Target
from modelhub.convert.planning import Plan
from modelhub.formats.identity import Identity, ModelKind

_FILES = frozenset({Target.SAFETENSORS, Target.CKPT})
_FOLDER = frozenset({Target.DIFFUSERS})
_STABLE = frozenset({"sd1", "sd2", "sdxl"})
_FORGE = _STABLE | {"flux", "sd3"}
_ANY: frozenset[str] = frozenset()


class _Loader(NamedTuple):
    """One line: who loads files of a kind."""

    kind: ModelKind
    architectures: frozenset[str]
    """Empty: whatever the architecture."""
    targets: frozenset[Target]
    line: str
    source: str


_COMFY = "comfyanonymous/ComfyUI nodes.py, folder_paths.py"
_A1111 = "AUTOMATIC1111/stable-diffusion-webui modules/"
_FORGE_SOURCE = "lllyasviel/stable-diffusion-webui-forge backend/loader.py"
_DIFFUSERS = "huggingface/diffusers src/diffusers/loaders/"

# fmt: off
# ruff: noqa: E501 (a table has one row a line)
_LOADERS: tuple[_Loader, ...] = (
    _Loader(ModelKind.CHECKPOINT, _ANY, _FILES, "ComfyUI: Load Checkpoint (models/checkpoints)", _COMFY),
    _Loader(ModelKind.CHECKPOINT, _STABLE, _FILES, "A1111: models/Stable-diffusion", _A1111 + "sd_models.py"),
    _Loader(ModelKind.CHECKPOINT, _FORGE, _FILES, "Forge: models/Stable-diffusion", _FORGE_SOURCE),
    _Loader(ModelKind.CHECKPOINT, frozenset({"sd1", "sd2"}), _FILES, "diffusers: StableDiffusionPipeline.from_single_file", _DIFFUSERS + "single_file.py"),
    _Loader(ModelKind.CHECKPOINT, frozenset({"sdxl"}), _FILES, "diffusers: StableDiffusionXLPipeline.from_single_file", _DIFFUSERS + "single_file.py"),
    _Loader(ModelKind.CHECKPOINT, frozenset({"sd3"}), _FILES, "diffusers: StableDiffusion3Pipeline.from_single_file", _DIFFUSERS + "single_file.py"),
    _Loader(ModelKind.CHECKPOINT, _ANY, _FOLDER, "diffusers: DiffusionPipeline.from_pretrained", _DIFFUSERS + "../pipelines/pipeline_utils.py"),
    _Loader(ModelKind.CHECKPOINT, _STABLE, _FOLDER, "ComfyUI: DiffusersLoader (models/diffusers)", _COMFY),
    _Loader(ModelKind.CHECKPOINT, _STABLE, _FOLDER, "InvokeAI: Add Model", "invoke-ai/InvokeAI invokeai/backend/model_manager/load/model_loaders/stable_diffusion.py"),
    _Loader(ModelKind.DIFFUSION_MODEL, _ANY, _FILES, "ComfyUI: Load Diffusion Model (models/diffusion_models)", _COMFY),
    _Loader(ModelKind.DIFFUSION_MODEL, frozenset({"flux"}), _FILES, "Forge: models/Stable-diffusion, with VAE and text encoders beside", _FORGE_SOURCE),
    _Loader(ModelKind.DIFFUSION_MODEL, _STABLE, _FILES, "diffusers: UNet2DConditionModel.from_single_file", _DIFFUSERS + "single_file_model.py"),
    _Loader(ModelKind.DIFFUSION_MODEL, frozenset({"flux"}), _FILES, "diffusers: FluxTransformer2DModel.from_single_file", _DIFFUSERS + "single_file_model.py"),
    _Loader(ModelKind.DIFFUSION_MODEL, frozenset({"sd3"}), _FILES, "diffusers: SD3Transformer2DModel.from_single_file", _DIFFUSERS + "single_file_model.py"),
    _Loader(ModelKind.VAE, _ANY, _FILES, "ComfyUI: Load VAE (models/vae)", _COMFY),
    _Loader(ModelKind.VAE, _STABLE, _FILES, "A1111 and Forge: models/VAE", _A1111 + "sd_vae.py"),
    _Loader(ModelKind.VAE, _FORGE, _FILES, "diffusers: AutoencoderKL.from_single_file", _DIFFUSERS + "single_file_model.py"),
    _Loader(ModelKind.TEXT_ENCODER, _ANY, _FILES, "ComfyUI: Load CLIP (models/text_encoders)", _COMFY),
    _Loader(ModelKind.TEXT_ENCODER, _ANY, _FILES, "Forge: models/text_encoder", _FORGE_SOURCE),
    _Loader(ModelKind.CLIP_VISION, _ANY, _FILES, "ComfyUI: Load CLIP Vision (models/clip_vision)", _COMFY),
    _Loader(ModelKind.LORA, _ANY, _FILES, "ComfyUI: Load LoRA (models/loras)", _COMFY),
    _Loader(ModelKind.LORA, _STABLE, _FILES, "A1111 and Forge: models/Lora", _A1111 + "../extensions-builtin/Lora/networks.py"),
    _Loader(ModelKind.LORA, _FORGE, _FILES, "diffusers: load_lora_weights", _DIFFUSERS + "lora_pipeline.py"),
    _Loader(ModelKind.EMBEDDING, _ANY, _FILES, "ComfyUI: embedding:NAME in a prompt (models/embeddings)", "comfyanonymous/ComfyUI comfy/sd1_clip.py"),
    _Loader(ModelKind.EMBEDDING, _STABLE, _FILES, "A1111 and Forge: embeddings", _A1111 + "textual_inversion/textual_inversion.py"),
    _Loader(ModelKind.EMBEDDING, _STABLE, _FILES, "diffusers: load_textual_inversion", _DIFFUSERS + "textual_inversion.py"),
    _Loader(ModelKind.CONTROLNET, _ANY, _FILES, "ComfyUI: Load ControlNet Model (models/controlnet)", _COMFY),
    _Loader(ModelKind.CONTROLNET, _STABLE, _FILES, "A1111 and Forge: models/ControlNet", "Mikubill/sd-webui-controlnet scripts/global_state.py"),
    _Loader(ModelKind.CONTROLNET, _STABLE, _FILES, "diffusers: ControlNetModel.from_single_file", _DIFFUSERS + "single_file_model.py"),
    _Loader(ModelKind.T2I_ADAPTER, _ANY, _FILES, "ComfyUI: Load ControlNet Model (models/controlnet)", _COMFY),
    _Loader(ModelKind.IP_ADAPTER, _ANY, _FILES, "ComfyUI: IPAdapter nodes (models/ipadapter)", "cubiq/ComfyUI_IPAdapter_plus utils.py"),
    _Loader(ModelKind.UPSCALER, _ANY, _FILES, "ComfyUI: Load Upscale Model (models/upscale_models)", _COMFY),
    _Loader(ModelKind.UPSCALER, frozenset({"esrgan"}), _FILES, "A1111: models/ESRGAN", _A1111 + "esrgan_model.py"),
    _Loader(ModelKind.MOTION_MODULE, _ANY, _FILES, "ComfyUI: AnimateDiff nodes (models/animatediff_models)", "Kosinkadink/ComfyUI-AnimateDiff-Evolved animatediff/utils_model.py"),
)
# fmt: on


def loads_in(plan: Plan) -> tuple[str, ...]:
    """What loads the result of a plan, a line each: the program, and how or from which folder.

    Empty where the result is of no kind that is known.
    """
    return loaders_of(plan.identity, plan.target)


def loaders_of(identity: Identity, target: Target) -> tuple[str, ...]:
    """The same for a file that is known by its identity."""
    beside = _lacking(identity)
    return tuple(
        one.line + beside
        for one in _LOADERS
        if one.kind is identity.kind
        and target in one.targets
        and (not one.architectures or identity.architecture in one.architectures)
    )


def _lacking(identity: Identity) -> str:
    if identity.kind is ModelKind.CHECKPOINT and identity.vae is False:
        return ", with a VAE beside"
    return ""

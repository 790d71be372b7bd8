"""IP-Adapters and their kin: what takes an image or a face as a prompt.

Sources: tencent-ailab/IP-Adapter ``ip_adapter/*.py``; cubiq/ComfyUI_IPAdapter_plus
(``IPAdapterPlus.py``); XLabs-AI/x-flux; InstantX; ToTheBeginning/PuLID; TencentARC/PhotoMaker;
invoke-ai/InvokeAI ``configs/ip_adapter.py``, ``flux_redux.py``; black-forest-labs/flux (Redux).
"""

# ruff: noqa: E501 - a table is read line by line

from __future__ import annotations

from modelhub.formats.identify.small.signatures import (
    Signature,
    Tensors,
    Width,
    by_width,
    first_of,
    identity,
)
from modelhub.formats.identity import Identity, ModelKind
from modelhub.formats.tensors import Header

_IP = ModelKind.IP_ADAPTER
_KEY = "ip_adapter.1.to_k_ip.weight"
_LORA = "ip_adapter.0.to_q_lora.down.weight"

# One line a rule.
# fmt: off
_TABLE: tuple[Signature, ...] = (
    Signature(_IP, "Flux Redux", ("redux_up.weight", "redux_down.weight"), "flux", ("redux",)),
    Signature(_IP, "IP-Adapter of XLabs for Flux", ("ip_adapter_proj_model.proj.weight",), "flux"),
    Signature(_IP, "IP-Adapter of XLabs for Flux", ("double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight",), "flux"),
    Signature(_IP, "PuLID for Flux", ("pulid_ca.0.to_q.weight",), "flux", ("pulid", "face")),
    Signature(_IP, "PuLID", ("id_adapter_attn_layers.1.id_to_k.weight",), "sdxl", ("pulid", "face")),
    Signature(_IP, "PuLID", ("id_adapter_attn_layers.0.id_to_k.weight",), "sdxl", ("pulid", "face")),
    Signature(_IP, "PhotoMaker", ("id_encoder.fuse_module.mlp1.fc1.weight",), "sdxl", ("photomaker", "face")),
    Signature(_IP, "PhotoMaker", ("id_encoder.vision_model.embeddings.class_embedding",), "sdxl", ("photomaker", "face")),
    Signature(_IP, "IP-Adapter FaceID Plus", (_LORA, "image_proj.perceiver_resampler.proj_in.weight"), None, ("face", "plus")),
    Signature(_IP, "IP-Adapter FaceID", (_LORA,), None, ("face",)),
    Signature(_IP, "IP-Adapter FaceID Plus", (_KEY, "image_proj.perceiver_resampler.proj_in.weight"), None, ("face", "plus")),
    Signature(_IP, "IP-Adapter Full Face", (_KEY, "image_proj.proj.3.weight"), None, ("face",)),
    Signature(_IP, "IP-Adapter for faces: a projection of their embedding", (_KEY, "image_proj.proj.2.weight"), None, ("face",)),
    Signature(_IP, "IP-Adapter Plus: a resampler", (_KEY, "image_proj.latents"), None, ("plus",)),
    Signature(_IP, "IP-Adapter", (_KEY,)),
    Signature(_IP, "IP-Adapter of InstantX for Flux or SD 3", ("ip_adapter.0.to_k_ip.weight",)),
    Signature(_IP, "IP-Adapter: a projection of images", ("image_proj.proj.weight", "image_proj.norm.weight")),
    Signature(_IP, "IP-Adapter Plus: a resampler", ("image_proj.latents", "image_proj.proj_in.weight")),
)
# fmt: on
_WIDTHS: tuple[Width, ...] = (
    *(
        Width(key, 1, {768: "sd1", 1024: "sd2", 2048: "sdxl"}, "image prompts of width")
        for key in (_KEY, "ip_adapter.3.to_k_ip.weight", "ip_adapter.11.to_k_ip.weight")
    ),
    Width("ip_adapter.0.to_k_ip.weight", 0, {3072: "flux", 2432: "sd3"}, "width"),
    Width("image_proj.norm.weight", 0, {768: "sd1", 2048: "sdxl"}, "image prompts of width"),
    Width("image_proj.norm_out.weight", 0, {768: "sd1", 2048: "sdxl"}, "image prompts of width"),
)


def identify_image_prompt(header: Header) -> Identity | None:
    """The IP-Adapter, PuLID, PhotoMaker or Redux in `header`, or None when it is none."""
    tensors = header.tensors
    line = first_of(_TABLE, tensors)
    if line is None:
        return None
    told = by_width(_WIDTHS, tensors) if line.architecture is None else None
    return identity(header, line, told=told, variants=_instant_id(tensors, line))


def _instant_id(tensors: Tensors, line: Signature) -> tuple[str, ...]:
    """InstantID reads a face's 512 numbers where others read CLIP's 1024 or 1280.

    Source: InstantID/InstantID ``ip_adapter/resampler.py``.
    """
    projection = tensors.get("image_proj.proj_in.weight")
    if "plus" in line.variants and projection is not None and projection.shape[-1:] == (512,):
        return ("instantid", "face")
    return ()

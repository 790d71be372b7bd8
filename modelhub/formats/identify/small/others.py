"""Motion modules, hypernetworks, annotators, detectors and more that lies about in model folders.

Sources: guoyww/AnimateDiff ``animatediff/models/motion_module.py`` and
Kosinkadink/ComfyUI-AnimateDiff-Evolved ``model_utils.py`` (versions of motion modules);
AUTOMATIC1111/stable-diffusion-webui ``modules/hypernetworks/hypernetwork.py``;
gligen/GLIGEN ``ldm/modules/diffusionmodules/positionnet.py``; isl-org/MiDaS ``midas/dpt_depth.py``;
LiheYoung/Depth-Anything; ultralytics/ultralytics ``nn/tasks.py``; facebookresearch/segment-anything
``modeling/sam.py``; IDEA-Research/GroundingDINO; salesforce/BLIP ``models/blip.py``;
christophschuhmann/improved-aesthetic-predictor; CompVis/stable-diffusion-safety-checker;
lllyasviel/ControlNet ``annotator``.
"""

# ruff: noqa: E501 - a table is read line by line

from __future__ import annotations

from itertools import islice

from modelhub.formats.identify.small.signatures import (
    Signature,
    Tensors,
    first_of,
    identity,
)
from modelhub.formats.identity import Evidence, Identity, ModelKind
from modelhub.formats.tensors import Header

_MOTION = ModelKind.MOTION_MODULE
_DETECTION = ModelKind.DETECTION
_OTHER = ModelKind.OTHER
_MODULE = "down_blocks.0.motion_modules.0."

# One line a rule.
# fmt: off
_TABLE: tuple[Signature, ...] = (
    Signature(_OTHER, "GLIGEN: positions of objects", ("position_net.null_positive_feature", "position_net.linears.0.weight"), "sd1", ("gligen",), None, ("model.diffusion_model.input_blocks.0.0.weight",)),
    Signature(_OTHER, "a safety checker", ("concept_embeds", "special_care_embeds"), "sd1", ("safety checker",)),
    Signature(_OTHER, "MiDaS, depth of images", ("scratch.refinenet4.resConfUnit2.conv1.weight", "pretrained.act_postprocess3.0.project.0.weight"), None, ("depth",)),
    Signature(_OTHER, "MiDaS, depth of images", ("depth_model.model.scratch.refinenet4.resConfUnit2.conv1.weight",), None, ("depth",)),
    Signature(_OTHER, "MiDaS, depth of images", ("scratch.layer1_rn.weight", "pretrained.layer1.0.weight"), None, ("depth",)),
    Signature(_OTHER, "Depth Anything", ("depth_head.scratch.refinenet1.out_conv.weight",), None, ("depth",)),
    Signature(_OTHER, "Depth Anything", ("pretrained.blocks.0.attn.qkv.weight", "depth_head.projects.0.weight"), None, ("depth",)),
    Signature(_OTHER, "ZoeDepth", ("core.core.scratch.refinenet4.out_conv.weight",), None, ("depth",)),
    Signature(_OTHER, "OpenPose", ("model0.conv1_1.weight",), None, ("pose",)),
    Signature(_OTHER, "OpenPose", ("conv1_1.weight", "Mconv7_stage6_L1.weight"), None, ("pose",)),
    Signature(_OTHER, "OpenPose of hands", ("conv1_1.weight", "Mconv7_stage6.weight"), None, ("pose",)),
    Signature(_OTHER, "HED, edges of images", ("netVggOne.0.weight",), None, ("edges",)),
    Signature(_OTHER, "HED, edges of images", ("block1.convs.0.weight", "norm"), None, ("edges",)),
    Signature(_OTHER, "line art", ("model0.1.weight", "model1.0.weight", "model4.1.weight"), None, ("edges",)),
    Signature(_OTHER, "an aesthetic predictor", ("layers.0.weight", "layers.2.weight", "layers.4.weight", "layers.7.weight"), None, ("aesthetic predictor",)),
    Signature(_DETECTION, "Segment Anything", ("image_encoder.patch_embed.proj.weight", "mask_decoder.iou_token.weight"), None, ("segmentation",)),
    Signature(_DETECTION, "Segment Anything 2", ("sam_mask_decoder.iou_token.weight",), None, ("segmentation",)),
    Signature(_DETECTION, "Grounding DINO", ("transformer.level_embed", "bbox_embed.0.layers.0.weight"), None, ()),
    Signature(_DETECTION, "YOLO", ("model.0.conv.weight", "model.22.dfl.conv.weight")),
    Signature(_DETECTION, "YOLO", ("model.0.conv.weight", "model.23.dfl.conv.weight")),
    Signature(_DETECTION, "YOLO", ("model.model.0.conv.weight", "model.model.22.dfl.conv.weight")),
    Signature(_DETECTION, "YOLO 5", ("model.0.conv.weight", "model.24.m.0.weight")),
    Signature(_DETECTION, "RetinaFace", ("BboxHead.0.conv1x1.weight", "ClassHead.0.conv1x1.weight"), None, ("face",)),
    Signature(_DETECTION, "a parser of faces", ("cp.resnet.conv1.weight",), None, ("face", "segmentation")),
    Signature(ModelKind.VISION_LANGUAGE, "BLIP, which describes images", ("visual_encoder.patch_embed.proj.weight", "text_decoder.bert.embeddings.word_embeddings.weight")),
    Signature(ModelKind.VISION_LANGUAGE, "DeepDanbooru, which tags images", ("n_Conv_0.weight",)),
)
# fmt: on
# fmt: off
_MOTIONS: tuple[Signature, ...] = (
    Signature(_MOTION, "HotShot-XL", ("down_blocks.0.temporal_attentions.0.norm.weight",), "sdxl", ("hotshot",)),
    Signature(_MOTION, "a motion module", (_MODULE + "temporal_transformer.norm.weight",)),
    Signature(_MOTION, "a motion module as diffusers saves it", (_MODULE + "norm.weight",)),
    Signature(_MOTION, "a motion module", ("down_blocks.1.motion_modules.0.temporal_transformer.norm.weight",)),
)
# fmt: on
_LINEAR = Signature(
    _OTHER,
    "an aesthetic predictor of one layer over CLIP",
    ("weight",),
    None,
    ("aesthetic predictor",),
)  # fmt: skip
"""LAION-AI/aesthetic-predictor ``sa_0_4_*_linear.pth``."""
_POSITIONS = (
    _MODULE + "temporal_transformer.transformer_blocks.0.attention_blocks.0.pos_encoder.pe",
    _MODULE + "transformer_blocks.0.pos_embed.pe",
)
_HYPER_WIDTHS = ("320", "640", "768", "1024", "1280", "2048")


def identify_other(header: Header) -> Identity | None:
    """The motion module, hypernetwork, annotator or detector in `header`; None for all else."""
    tensors = header.tensors
    line = first_of(_TABLE, tensors)
    if line is not None:
        return identity(header, line)
    if set(tensors) == {"weight", "bias"} and tensors["weight"].shape in ((1, 768), (1, 512)):
        return identity(header, _LINEAR)
    return _motion(header) or _hypernetwork(header)


def _motion(header: Header) -> Identity | None:
    tensors = header.tensors
    for prefix in ("", "module.", "unet.", "motion_modules."):
        line = first_of(_MOTIONS, tensors, prefix)
        if line is None:
            continue
        if prefix + "conv_in.weight" in tensors:  # A whole UNet with motion modules.
            return None
        if line.architecture is not None:
            return identity(header, line, prefix=prefix)
        return _versioned(header, line, prefix)
    return None


def _versioned(header: Header, line: Signature, prefix: str) -> Identity:
    """SDXL's UNet has no fourth level; the versions differ in their middle and their length."""
    tensors = header.tensors
    kind = line.keys[0].removeprefix(_MODULE)
    fourth = f"{prefix}down_blocks.3.motion_modules.0.{kind}"
    architecture = "sd1" if fourth in tensors else "sdxl"
    because = f"motion modules on {'four' if architecture == 'sd1' else 'three'} levels"
    told = architecture, Evidence("architecture", architecture, because)
    edition, why = None, ""
    frames = _frames(tensors, prefix)
    middle = f"{prefix}mid_block.motion_modules.0.{kind}" in tensors
    if architecture == "sd1" and middle:
        edition, why = "v2", "a motion module in the middle"
    elif architecture == "sd1" and frames == 24:
        edition, why = "v1", "24 positions in time"
    elif architecture == "sd1" and frames == 32:
        edition, why = "v3", "32 positions in time, no motion module in the middle"
    more = (Evidence("edition", edition, why),) if edition else ()
    return identity(header, line, told=told, prefix=prefix, edition=edition, more=more)


def _frames(tensors: Tensors, prefix: str) -> int | None:
    for key in _POSITIONS:
        positions = tensors.get(prefix + key)
        if positions is not None and len(positions.shape) == 3:
            return positions.shape[1]
    return None


def _hypernetwork(header: Header) -> Identity | None:
    """A1111's hypernetworks: two lists of layers for each width of text and image."""
    widths = []
    for name in islice(header.tensors, 4):
        width, _, rest = name.partition(".")
        if width not in _HYPER_WIDTHS or rest[:2] not in ("0.", "1."):
            return None
        widths.append(width)
    found = {name.partition(".")[0] for name in header.tensors}
    line = Signature(
        ModelKind.HYPERNETWORK, f"layers for the widths {', '.join(sorted(found))}", (name,)
    )
    for width, architecture in (("2048", "sdxl"), ("1024", "sd2"), ("768", "sd1")):
        if width in found:
            because = f"layers for text of width {width}"
            told = architecture, Evidence("architecture", architecture, because)
            return identity(header, line, told=told)
    return identity(header, line)

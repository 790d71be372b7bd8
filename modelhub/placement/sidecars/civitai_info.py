"""`STEM.civitai.info`: Civitai Helper's, read by many others.

Source: `ch_lib/civitai.py` (`get_model_info_by_hash`, `append_parent_model_metadata`) and
`ch_lib/model.py` (`process_model_info`) of zixaphir/Stable-Diffusion-Webui-Civitai-Helper: the
answer of `GET /model-versions/by-hash/...` as it came; from the model's own answer `creator`, and
within `model` the description, tags and permissions.
"""

from __future__ import annotations

from modelhub.placement.sidecars.contract import Json, SidecarFacts, child, described_version, text

SUFFIX = ".civitai.info"

_FROM_MODEL = (
    "description",
    "tags",
    "allowNoCredit",
    "allowCommercialUse",
    "allowDerivatives",
    "allowDifferentLicense",
)


def build(facts: SidecarFacts) -> Json:
    """The version's answer with the model's words added; nothing of the answer is left out."""
    info: Json = dict(facts.version)
    model: Json = dict(child(facts.version, "model"))
    for key, model_key in (("name", "name"), ("type", "type"), ("nsfw", "nsfw")):
        if key not in model and model_key in facts.model:
            model[key] = facts.model[model_key]
    model |= {key: facts.model[key] for key in _FROM_MODEL if key in facts.model}
    if model:
        info["model"] = model
    if "modelId" not in info and "id" in facts.model:
        info["modelId"] = facts.model["id"]
    if "creator" in facts.model:
        info["creator"] = facts.model["creator"]
    return info


def merge(existing: Json, fresh: Json) -> Json:
    """Civitai's part renewed; other keys, and images that Civitai Helper has saved, kept.

    Civitai Helper writes a "skeleton" for a file that it did not find on Civitai; it is filled.

    :raises AnotherModels: the file is another version's.
    """
    described_version(existing, "id", fresh)
    merged = existing | fresh
    merged["model"] = dict(child(existing, "model")) | dict(child(fresh, "model"))
    if existing.get("skeleton_file") is True:
        merged["skeleton_file"] = False
    _keep_saved_images(existing, merged)
    return merged


def _keep_saved_images(existing: Json, merged: Json) -> None:
    old, new = existing.get("images"), merged.get("images")
    if not isinstance(old, list) or not isinstance(new, list):
        return
    saved = {
        text(image.get("url")): image["local_file"]
        for image in old
        if isinstance(image, dict) and image.get("url") and "local_file" in image
    }
    merged["images"] = [
        image | {"local_file": saved[text(image.get("url"))]}
        if isinstance(image, dict) and text(image.get("url")) in saved
        else image
        for image in new
    ]

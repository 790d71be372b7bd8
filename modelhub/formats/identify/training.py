"""What trainers leave in the metadata of a file: how it was made, and the words it listens to.

Sources: kohya-ss/sd-scripts ``train_network.py`` (``ss_*``), ``library/train_util.py``
(``set_tag_frequency``: counts by folder); kohya-ss/musubi-tuner; ostris/ai-toolkit
``toolkit/metadata.py`` (``software``); AUTOMATIC1111 ``modules/extras.py``
(``sd_merge_models``); comfyanonymous/ComfyUI ``nodes.py`` (``prompt``, ``workflow``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

_T = TypeVar("_T")
MOST_JSON = 4 << 20
"""JSON in a string longer than this is not looked at, in characters."""
_MOST_WORDS = 20
_LONGEST_WORD = 60
_LONGEST_VALUE = 500
_NEARLY_ALL = 0.9
"""In what part of a folder's images a tag has to be to count as a trigger word."""
_NOTHING = frozenset(("", "None", "null", "none", "0.0"))

_TEXTS: tuple[tuple[str, str], ...] = (
    ("base model", "ss_sd_model_name"),
    ("base model hash", "ss_new_sd_model_hash"),
    ("vae", "ss_vae_name"),
    ("network", "ss_network_module"),
    ("rank", "ss_network_dim"),
    ("alpha", "ss_network_alpha"),
    ("network arguments", "ss_network_args"),
    ("epoch", "ss_epoch"),
    ("epochs", "ss_num_epochs"),
    ("steps", "ss_steps"),
    ("images", "ss_num_train_images"),
    ("regularisation images", "ss_num_reg_images"),
    ("batch size", "ss_total_batch_size"),
    ("optimizer", "ss_optimizer"),
    ("learning rate", "ss_learning_rate"),
    ("unet learning rate", "ss_unet_lr"),
    ("text encoder learning rate", "ss_text_encoder_lr"),
    ("scheduler", "ss_lr_scheduler"),
    ("clip skip", "ss_clip_skip"),
    ("noise offset", "ss_noise_offset"),
    ("min snr gamma", "ss_min_snr_gamma"),
    ("mixed precision", "ss_mixed_precision"),
    ("seed", "ss_seed"),
    ("comment", "ss_training_comment"),
    ("timestep range", "modelspec.timestep_range"),
    ("merged from", "modelspec.merged_from"),
    ("license", "modelspec.license"),
    ("usage hint", "modelspec.usage_hint"),
    ("date", "modelspec.date"),
    ("quantised by", "general.quantized_by"),
)
"""What is kept, and the key it is kept from."""
_TIMES = (("started", "ss_training_started_at"), ("finished", "ss_training_finished_at"))
_ONLY_ZERO = frozenset(("regularisation images", "images", "steps", "epoch"))

_FOLDER = re.compile(r"\A\d+_(?=.)")
# What stands on nearly every picture of a kind, and triggers nothing of its own.
_COMMON = frozenset(
    (
        *("1girl", "1boy", "1man", "1woman", "solo", "2girls", "multiple girls", "no humans"),
        *("looking at viewer", "simple background", "white background", "grey background"),
        *("masterpiece", "best quality", "high quality", "highres", "absurdres", "score_9"),
        *("score_8_up", "score_7_up", "source_anime", "rating_explicit", "rating_safe"),
        *("long hair", "short hair", "breasts", "smile", "blush", "upper body", "standing"),
        *("img", "images", "image", "train", "training", "dataset", "data", "subsetdir"),
        *("a photo of", "photo", "woman", "man", "girl", "boy", "person", "style", "character"),
    )
)


class _Folder(msgspec.Struct):
    img_count: int = 0


class _Merged(msgspec.Struct):
    name: str = ""


class _Software(msgspec.Struct):
    name: str = ""
    version: str = ""


class _Inputs(msgspec.Struct):
    ckpt_name: msgspec.Raw = msgspec.Raw(b"null")
    unet_name: msgspec.Raw = msgspec.Raw(b"null")


class _Node(msgspec.Struct):
    class_type: str = ""
    inputs: _Inputs | None = None


_TAGS = msgspec.json.Decoder(dict[str, dict[str, int]])
_FOLDERS = msgspec.json.Decoder(dict[str, _Folder])
_MERGED = msgspec.json.Decoder(dict[str, _Merged])
_SOFTWARE = msgspec.json.Decoder(_Software)
_GRAPH = msgspec.json.Decoder(dict[str, _Node])
_NAME = msgspec.json.Decoder(str)


def decode(decoder: msgspec.json.Decoder[_T], text: str | None) -> _T | None:
    """`text` as `decoder` reads it; None for what is too long, too deep or of another shape."""
    if not text or len(text) > MOST_JSON:
        return None
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def said(text: str | None, longest: int = _LONGEST_VALUE) -> str | None:
    """`text` on one line and not too long, or None when it says nothing."""
    if text is None or text in _NOTHING:
        return None
    # Nearly all are a word or a number: nothing to be cleaned.
    if len(text) <= longest and text.isprintable() and "  " not in text:
        return text.strip() or None
    shown = " ".join(text[: longest * 2].split())
    shown = "".join(letter for letter in shown if letter.isprintable())
    if len(shown) > longest:
        shown = shown[: longest - 1] + "…"
    return shown or None


def training_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """How the file was made, by name of the setting; dates are ISO 8601 in UTC."""
    found: dict[str, str] = {}
    for name, key in _TEXTS:
        value = metadata.get(key)
        if value is not None and (text := said(value)) is not None:
            if text == "0" and name in _ONLY_ZERO:
                continue
            found[name] = text
    for name, key in _TIMES:
        if (moment := _moment(metadata.get(key))) is not None:
            found[name] = moment
    if "merged from" not in found and (merged := _merged(metadata)):
        found["merged from"] = merged
    if (made := _made_with(metadata)) is not None:
        found["made with"] = made
    return found


def _moment(text: str | None) -> str | None:
    """A Unix time in seconds as ISO 8601."""
    if not text or len(text) > 32:
        return None
    try:
        return datetime.fromtimestamp(float(text), UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return None


def _merged(metadata: Mapping[str, str]) -> str | None:
    """The models that a merge was made from, by A1111's or ComfyUI's record."""
    models = decode(_MERGED, metadata.get("sd_merge_models"))
    if models:
        return said(", ".join(one.name for one in models.values() if one.name))
    graph = decode(_GRAPH, metadata.get("prompt"))
    if not graph:
        return None
    return said(", ".join(dict.fromkeys(_loaded(graph))))


def _loaded(graph: Mapping[str, _Node]) -> Iterator[str]:
    for node in graph.values():
        if node.inputs is None or "Loader" not in node.class_type:
            continue
        for raw in (node.inputs.ckpt_name, node.inputs.unet_name):
            name = decode(_NAME, bytes(raw).decode("utf-8", "replace"))
            if name:
                yield name


def _made_with(metadata: Mapping[str, str]) -> str | None:
    software = decode(_SOFTWARE, metadata.get("software"))
    if software is not None and software.name:
        return said(f"{software.name} {software.version}".strip(), 100)
    if "ot_branch" in metadata or "ot_config" in metadata:
        return "OneTrainer"
    if "workflow" in metadata and "prompt" in metadata:
        return "ComfyUI"
    if "sd_merge_recipe" in metadata:
        return "AUTOMATIC1111's checkpoint merger"
    return None


def trigger_words_of(metadata: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """The words that an adapter listens to, and where they stand.

    ``modelspec.trigger_phrase`` where there is one. Else, of kohya's counts, the tags that stand
    at nearly all images of a folder, and the folder's own class words where its images had no
    captions; what stands at everybody's images (``1girl``, ``solo``) is left out.
    """
    phrase = metadata.get("modelspec.trigger_phrase") or metadata.get("ss_trigger_words")
    if phrase and (text := said(phrase)) is not None:
        spoken = (word.strip() for word in text.split(","))
        return tuple(dict.fromkeys(filter(None, spoken)))[:_MOST_WORDS], "modelspec.trigger_phrase"
    frequency = decode(_TAGS, metadata.get("ss_tag_frequency"))
    if not frequency:
        return (), ""
    folders = decode(_FOLDERS, metadata.get("ss_dataset_dirs")) or {}
    counts: Counter[str] = Counter()
    for folder, tags in frequency.items():
        images = folders[folder].img_count if folder in folders else 0
        counts.update(_words_of_folder(folder, tags, images))
    words = tuple(word for word, _ in counts.most_common(_MOST_WORDS))
    return words, "ss_tag_frequency"


def _words_of_folder(folder: str, tags: Mapping[str, int], images: int) -> dict[str, int]:
    most = max(tags.values(), default=0)
    enough = max(1.0, (images if images >= most else most) * _NEARLY_ALL)
    words: dict[str, int] = {}
    for tag in [tag for tag, count in tags.items() if count >= enough]:
        if _is_word(word := tag.strip()):
            words[word] = words.get(word, 0) + tags[tag]
    if not tags:
        # Without captions, kohya's trainer teaches the name of the folder: `10_sks dog`.
        word = _FOLDER.sub("", folder).strip()
        if word != folder and _is_word(word):
            words[word] = images or 1
    return words


def _is_word(word: str) -> bool:
    return 0 < len(word) <= _LONGEST_WORD and word.lower() not in _COMMON and word.isprintable()

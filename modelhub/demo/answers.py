"""Models, versions, files and images as the API writes them (``src/pages/api/v1`` there)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

from modelhub.demo.choice import metadata, primary_file
from modelhub.demo.images import image_path
from modelhub.demo.published import PublishedImage, PublishedModel, PublishedVersion
from modelhub.demo.shelf import Shelf, ShelvedVersion, StoredFile

Json: TypeAlias = dict[str, Any]
ALL_LEVELS = 63
_MOST_IMAGES = 10
_EMPTY: tuple[object, ...] = (None, "", [], {})
"""What ``/models/:id`` leaves out of its versions."""
_AIR_TYPES = {
    "Checkpoint": "checkpoint",
    "Hypernetwork": "hypernet",
    "TextualInversion": "embedding",
    "AestheticGradient": "ag",
    "MotionModule": "motion",
    "Upscaler": "upscaler",
    "VAE": "vae",
    "LORA": "lora",
    "DoRA": "dora",
    "LoCon": "lycoris",
    "Controlnet": "controlnet",
    "TextEncoder": "text_encoders",
    "UNet": "unet",
    "CLIPVision": "clipvision",
    "CLIP": "clip",
    "VisionLanguage": "visionlanguage",
}
_ECOSYSTEMS = (
    ("SD 1", "sd1"),
    ("SD 2", "sd2"),
    ("SDXL", "sdxl"),
    ("Pony", "pony"),
    ("Illustrious", "illustrious"),
    ("NoobAI", "noobai"),
    ("SD 3", "sd3"),
    ("Flux.1", "flux1"),
)


def instant(moment: dt.datetime) -> str:
    """A time as the API writes it: ISO 8601 in UTC, with milliseconds."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.") + "000Z"


def air(model: PublishedModel, version: PublishedVersion) -> str:
    """The AIR of a version."""
    ecosystem = next(
        (key for prefix, key in _ECOSYSTEMS if version.base_model.startswith(prefix)), "other"
    )
    kind = _AIR_TYPES.get(model.type, "unknown")
    return f"urn:air:{ecosystem}:{kind}:civitai:{model.id}@{version.id}"


class Writer:
    """Writes answers whose links lead to the API at `url` and to the storage at `storage_url`."""

    def __init__(self, shelf: Shelf, url: str, storage_url: str) -> None:
        self._shelf = shelf
        self._url = url
        self._storage_url = storage_url

    def model(
        self,
        model: PublishedModel,
        *,
        primary_only: bool = False,
        image_levels: int = ALL_LEVELS,
        listed: bool = False,
    ) -> Json:
        """One model with its versions: as ``/models/:id``, or as an item of ``/models``.

        The listing tells the ids of images, shows only those of `image_levels`, and keeps empty
        values, which ``/models/:id`` leaves out of its versions.
        """
        versions = self.listed_versions(model)
        answer: Json = {
            "id": model.id,
            "name": model.name,
            "description": model.description,
            "allowNoCredit": model.allow_no_credit,
            "allowCommercialUse": model.allow_commercial_use,
            "allowDerivatives": model.allow_derivatives,
            "allowDifferentLicense": model.allow_different_license,
            "type": model.type,
            "minor": False,
            "sfwOnly": False,
            "poi": model.poi,
            "nsfw": model.nsfw,
            "nsfwLevel": levels(model.versions),
            "availability": "Public",
            "cosmetic": None,
            "supportsGeneration": model.supports_generation,
            "stats": _stats(model.versions),
            "tags": model.tags,
        }
        if model.creator is not None:
            answer["creator"] = {"username": model.creator, "image": None}
        if model.mode is not None:
            answer["mode"] = model.mode
        answer["modelVersions"] = []
        for index, shelved in enumerate(versions):
            body = {"index": index, **self._version_body(shelved, primary_only)}
            if listed:
                body["images"] = self._images(shelved, image_levels, image_ids=True)
            else:
                body = {name: value for name, value in body.items() if value not in _EMPTY}
            answer["modelVersions"].append(body)
        return answer

    def listed_versions(self, model: PublishedModel) -> list[ShelvedVersion]:
        """The versions that are published and have a file, newest first."""
        found = [self._shelf.version(version.id) for version in model.versions]
        listed = [one for one in found if one is not None and one.is_public and one.files]
        return sorted(listed, key=lambda one: one.version.published_at, reverse=True)

    def version(self, shelved: ShelvedVersion) -> Json:
        """One version, as ``/model-versions/:id`` and by-hash write it."""
        model, version = shelved.model, shelved.version
        owner: Json = {
            "name": model.name,
            "type": model.type,
            "nsfw": model.nsfw,
            "poi": model.poi,
        }
        if model.mode is not None:
            owner["mode"] = model.mode
        body = self._version_body(shelved, primary_only=False)
        for file in body["files"]:
            file.setdefault("primary", False)
        return {
            "id": version.id,
            "modelId": model.id,
            **body,
            "air": air(model, version),
            "createdAt": instant(version.published_at),
            "updatedAt": instant(version.published_at),
            "model": owner,
        }

    def _version_body(self, shelved: ShelvedVersion, primary_only: bool) -> Json:
        model, version = shelved.model, shelved.version
        files = self.all_files(shelved)
        primary = primary_file(shelved.files)
        if primary_only:
            files = [one for one in files if one is primary]
        answer: Json = {
            "id": version.id,
            "name": version.name,
            "baseModel": version.base_model,
            "baseModelType": version.base_model_type,
            "description": version.description,
            "createdAt": instant(version.published_at),
            "publishedAt": instant(version.published_at),
            "status": version.status,
            "availability": version.availability,
            "nsfwLevel": levels([version]),
            "trainedWords": version.trained_words,
            "usageControl": version.usage_control,
            "paidAccess": _paid_access(version),
            "stats": _stats([version]),
        }
        archived = model.mode == "Archived"
        answer["files"] = [] if archived else [self.file(one, shelved, primary) for one in files]
        answer["images"] = self._images(shelved, ALL_LEVELS, image_ids=False)
        if not archived and version.usage_control == "Download":
            answer["downloadUrl"] = self.download_url(version.id, None)
        return answer

    def _images(self, shelved: ShelvedVersion, levels_shown: int, *, image_ids: bool) -> list[Json]:
        if shelved.model.mode == "TakenDown":
            return []
        images = [one for one in shelved.version.images if one.nsfw_level & levels_shown]
        answers = [self.image(image) for image in images[:_MOST_IMAGES]]
        for answer in answers:
            if not image_ids:
                del answer["id"]
        return answers

    def all_files(self, shelved: ShelvedVersion) -> list[StoredFile]:
        """The files of a version, and those of the VAE that is linked to it."""
        linked = shelved.version.vae_version_id
        vae = self._shelf.version(linked) if linked is not None else None
        return [*shelved.files, *(vae.files if vae is not None and vae.is_public else ())]

    def file(self, stored: StoredFile, shelved: ShelvedVersion, primary: StoredFile | None) -> Json:
        """One file of `shelved`; a linked VAE's is of type VAE, and downloads as such."""
        file = stored.file
        kind = file.type if stored in shelved.files else "VAE"
        answer: Json = {
            "id": file.id,
            "sizeKB": stored.size / 1024,
            "name": file.name,
            "type": kind,
            "pickleScanResult": file.pickle_scan,
            "pickleScanMessage": file.pickle_message,
            "virusScanResult": file.virus_scan,
            "virusScanMessage": None,
            "scannedAt": instant(shelved.version.published_at + dt.timedelta(minutes=5)),
            "metadata": metadata(file),
            "hashes": stored.named_hashes,
            "downloadUrl": self.download_url(
                shelved.version.id, None if stored is primary else stored, kind
            ),
        }
        if stored is primary:
            answer["primary"] = True
        return answer

    def download_url(
        self, version_id: int, stored: StoredFile | None, kind: str | None = None
    ) -> str:
        """The download URL of a version's primary file, or of `stored` as a file of type `kind`."""
        address = f"{self._url}/api/download/models/{version_id}"
        if stored is None:
            return address
        parameters = {"type": kind or stored.file.type, **metadata(stored.file)}
        return f"{address}?{urlencode(parameters, quote_via=quote)}"

    def image(self, image: PublishedImage) -> Json:
        """One preview."""
        return {
            "id": image.id,
            "url": self._storage_url + image_path(image),
            "nsfwLevel": image.nsfw_level,
            "width": image.width,
            "height": image.height,
            "hash": "U5IiO6s-4Vn+0~EO^5xa00VsL#IU_O?E7yWC",
            "type": "image",
            "minor": False,
            "poi": False,
            "hasMeta": image.prompt is not None,
            "hasPositivePrompt": image.prompt is not None,
            "onSite": False,
            "remixOfId": None,
            "meta": None if image.prompt is None else {"prompt": image.prompt, "seed": image.seed},
        }


def levels(versions: Sequence[PublishedVersion]) -> int:
    """The NSFW levels of all previews of `versions`, as bits; PG when there is none."""
    found = 0
    for version in versions:
        for image in version.images:
            found |= image.nsfw_level
    return found or 1


def _stats(versions: Sequence[PublishedVersion]) -> Json:
    return {
        "downloadCount": sum(version.downloads for version in versions),
        "thumbsUpCount": sum(version.thumbs_up for version in versions),
        "thumbsDownCount": 0,
        "commentCount": 0,
        "tippedAmountCount": 0,
    }


def _paid_access(version: PublishedVersion) -> Json | None:
    if version.early_access_until is None:
        return None
    return {"type": "EarlyAccess", "endsAt": instant(version.early_access_until)}

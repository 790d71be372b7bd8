"""The endpoints that answer about one thing: a model, a version, a hash, a file's tensors."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

from modelhub.demo.answers import Json, air, instant
from modelhub.demo.choice import primary_file
from modelhub.demo.httpd import Reply, Request, json_reply
from modelhub.demo.shelf import ShelvedVersion, StoredFile

if TYPE_CHECKING:
    from modelhub.demo.hub import DemoHub

_MOST_HASHES = 100
_MOST_HASHES_FOR_IDS = 10_000
_LONGEST_HEADER = 100_000_000


def not_found(text: str) -> Reply:
    """404 in the API's words."""
    return json_reply(404, {"error": text})


class Lookups:
    """Answers out of what is published on `hub`."""

    def __init__(self, hub: DemoHub) -> None:
        self._hub = hub

    def model(self, model_id: int) -> Reply:
        """``/models/:id``."""
        model = self._hub.shelf.model(model_id)
        if model is None or model.mode == "Deleted":
            return not_found(f"No model with id {model_id}")
        return json_reply(200, self._hub.writer.model(model))

    def version(self, version_id: int) -> Reply:
        """``/model-versions/:id``."""
        shelved = self._hub.shelf.version(version_id)
        if shelved is None or not shelved.is_public:
            return not_found("Model not found")
        if not shelved.files:
            return not_found("Missing model file")
        return json_reply(200, self._hub.writer.version(shelved))

    def by_hash(self, value: str) -> Reply:
        """``/model-versions/by-hash/:hash``: any kind of hash, the oldest version that has it."""
        found = next(self._hub.shelf.with_hash(value), None)
        if found is None:
            return not_found("Model not found")
        return json_reply(200, self._hub.writer.version(found[0]))

    def by_hashes(self, body: bytes) -> Reply:
        """``POST /model-versions/by-hash``: at most 100 SHA256; one entry per matching file."""
        hashes = _sha256_list(body, _MOST_HASHES)
        if isinstance(hashes, Reply):
            return hashes
        found = self._matches(hashes)
        found.sort(key=lambda pair: -pair[0].version.id)
        return json_reply(200, [self._hub.writer.version(shelved) for shelved, _ in found])

    def ids_by_hashes(self, body: bytes) -> Reply:
        """``POST /model-versions/by-hash/ids``: at most 10,000 SHA256."""
        hashes = _sha256_list(body, _MOST_HASHES_FOR_IDS)
        if isinstance(hashes, Reply):
            return hashes
        return json_reply(
            200,
            [
                {
                    "modelVersionId": shelved.version.id,
                    "modelId": shelved.model.id,
                    "hash": stored.hashes.sha256,
                }
                for shelved, stored in self._matches(hashes)
            ],
        )

    def _matches(self, hashes: list[str]) -> list[tuple[ShelvedVersion, StoredFile]]:
        wanted = {value.upper() for value in hashes}
        return [
            (shelved, stored)
            for shelved in self._hub.shelf.versions()
            if shelved.is_public
            for stored in shelved.files
            if stored.named_hashes.get("SHA256") in wanted
        ]

    def mini(self, version_id: int, request: Request) -> Reply:
        """``/model-versions/mini/:id?modelFileId=``."""
        shelved = self._hub.shelf.version(version_id)
        if shelved is None or not shelved.is_public:
            return not_found("Model not found")
        wanted = request.first("modelFileId")
        stored = primary_file(shelved.files)
        if wanted is not None:
            stored = next((one for one in shelved.files if str(one.file.id) == wanted), None)
        if stored is None and wanted is not None:
            return not_found(f"Model file {wanted} not found in version {version_id}")
        if stored is None:
            return not_found("Missing model file")
        return json_reply(200, self._mini_body(shelved, stored, by_id=wanted is not None))

    def _mini_body(self, shelved: ShelvedVersion, stored: StoredFile, *, by_id: bool) -> Json:
        version = shelved.version
        until = version.early_access_until
        link = self._hub.writer.download_url(version.id, None)
        body: Json = {
            "air": air(shelved.model, version) + (f"+{stored.file.id}" if by_id else ""),
            "versionName": version.name,
            "modelName": shelved.model.name,
            "userId": 1,
            "baseModel": version.base_model,
            "availability": version.availability,
            "publishedAt": instant(version.published_at),
            "size": stored.size / 1024,
            "fileType": stored.file.type,
            "fileName": stored.file.name,
            "hashes": stored.named_hashes,
            "downloadUrls": [f"{link}?fileId={stored.file.id}" if by_id else link],
            "format": stored.file.format,
            "canGenerate": shelved.model.supports_generation,
            "isFeatured": False,
            "requireAuth": version.login_required,
            "checkPermission": until is not None,
            "additionalResourceCharge": False,
            "minor": False,
            "sfwOnly": False,
            "fees": [],
            "payoutEnabled": True,
        }
        if until is not None:
            body["earlyAccessEndsAt"] = instant(until)
        return body

    def tensor_metadata(self, file_id: int, request: Request) -> Reply:
        """``/model-files/:id/tensor-metadata``: the header of a safetensors file, or its sums."""
        stored = self._hub.shelf.file(file_id)
        if stored is None:
            return _uncached(404, "File not found")
        if stored.file.format != "SafeTensor":
            return _uncached(400, "File format is not supported")
        tensors = _tensors(stored)
        if tensors is None:
            return _uncached(422, "Invalid safetensors header")
        answer = _analysis(tensors)
        if request.first("summaryOnly") == "true":
            del answer["tensors"]
        return json_reply(200, answer, Cache_Control=_IMMUTABLE)


_IMMUTABLE = "public, max-age=31536000, s-maxage=31536000, immutable"


def _analysis(tensors: list[Json]) -> Json:
    """The tensor table and its sums (``ModelTensorAnalysis`` of civitai/civitai)."""
    dtypes: dict[str, Json] = {}
    for tensor in tensors:
        entry = dtypes.setdefault(
            tensor["dtype"], {"dtype": tensor["dtype"], "count": 0, "bytes": 0}
        )
        entry["count"] += 1
        entry["bytes"] += tensor["sizeBytes"]
    return {
        "format": "SafeTensor",
        "tensorCount": len(tensors),
        "totalTensorBytes": sum(tensor["sizeBytes"] for tensor in tensors),
        "dtypeCounts": sorted(dtypes.values(), key=lambda entry: -int(entry["bytes"])),
        "largestTensor": max(tensors, key=lambda tensor: int(tensor["sizeBytes"]), default=None),
        "vramEstimate": None,
        "tensors": tensors,
    }


def _uncached(status: int, error: str) -> Reply:
    return json_reply(status, {"error": error}, Cache_Control="no-store")


def _tensors(stored: StoredFile) -> list[Json] | None:
    """The tensor table of a safetensors file; None when its header cannot be read."""
    with stored.path.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length <= min(_LONGEST_HEADER, stored.size - 8):
            return None
        try:
            header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            return [
                {
                    "name": name,
                    "shape": entry["shape"],
                    "dtype": entry["dtype"],
                    "sizeBytes": entry["data_offsets"][1] - entry["data_offsets"][0],
                }
                for name, entry in header.items()
            ]
        except (ValueError, AttributeError, TypeError, LookupError):
            return None


def _sha256_list(body: bytes, most: int) -> list[str] | Reply:
    try:
        hashes = json.loads(body)
    except ValueError:
        return json_reply(400, {"error": "Invalid JSON"})
    wrong = None
    if not isinstance(hashes, list):
        wrong = "Expected array"
    elif len(hashes) > most:
        wrong = "Too many hashes"
    elif not all(isinstance(value, str) and len(value) == 64 for value in hashes):
        wrong = "Invalid hash"
    if wrong is not None:
        text = f"Request must include an array of SHA256 Hashes. {wrong}"
        return json_reply(400, {"error": text})
    return [str(value) for value in hashes]

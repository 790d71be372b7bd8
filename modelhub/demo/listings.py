"""The endpoints that list: models, images, creators, tags; filters, cursors, page rules."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from modelhub.demo.answers import ALL_LEVELS, Json, instant, levels
from modelhub.demo.httpd import Reply, Request, json_reply
from modelhub.demo.published import PublishedImage, PublishedModel
from modelhub.demo.shelf import ShelvedVersion

if TYPE_CHECKING:
    from modelhub.demo.hub import DemoHub

_DEEPEST_PAGE = 1000
_TOO_DEEP = "You've requested too many pages, please use cursors instead"
_PUBLIC_LEVELS = 1
_PERIODS = {"Year": 365, "Month": 30, "Week": 7, "Day": 1}
_SORTS = ("Highest Rated", "Most Downloaded", "Newest")


class Invalid(Exception):
    """A parameter that the server refuses; `path` names it."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path

    def reply(self) -> Reply:
        """The validation object that the server answers with."""
        issue = {"code": "invalid", "message": str(self), "path": [self.path]}
        return json_reply(400, {"error": {"name": "ZodError", "issues": [issue]}})


def models(hub: DemoHub, request: Request, *, has_key: bool) -> Reply:
    """``/models``: filters, then pages by cursor, or by number while that is shallow."""
    if not has_key and ("favorites" in request.query or "hidden" in request.query):
        return json_reply(401, {"error": "Unauthorized"})
    try:
        limit = _whole(request, "limit", 100, most=100)
        page = _whole(request, "page", 0, most=10**9)
        found = _chosen_models(hub, request, has_key=has_key)
        offset = _offset(request)
    except Invalid as invalid:
        return invalid.reply()
    query = request.first("query")
    if page and query:
        text = "Cannot use page param with query search. Use cursor-based pagination."
        return json_reply(400, {"error": text})
    if page and page * limit > _DEEPEST_PAGE:
        return json_reply(429, {"error": _TOO_DEEP})
    if query and hub.search_is_down:
        text = "Model search is temporarily overloaded — please retry."
        return json_reply(503, {"error": text}, Retry_After="2", Cache_Control="no-store")
    if page:
        offset = (page - 1) * limit
    primary_only = request.first("primaryFileOnly") == "true"
    shown = ALL_LEVELS if request.first("nsfw") == "true" else _PUBLIC_LEVELS
    items = [
        hub.writer.model(model, primary_only=primary_only, image_levels=shown, listed=True)
        for model in found[offset : offset + limit]
    ]
    metadata = _cursor_metadata(hub, request, offset + limit, len(found), limit)
    if page:
        metadata |= {"currentPage": page, "pageSize": limit}
    return json_reply(200, {"items": items, "metadata": metadata})


def _chosen_models(hub: DemoHub, request: Request, *, has_key: bool) -> list[PublishedModel]:
    tests = _model_filters(hub, request, has_key=has_key)
    found = [
        model
        for model in hub.shelf.models()
        if model.mode != "Deleted"
        and hub.writer.listed_versions(model)
        and all(test(model) for test in tests)
    ]
    order = request.first("sort") or _SORTS[0]
    if order not in _SORTS:
        raise Invalid("sort", f"Invalid enum value. Received '{order}'")
    if order == "Newest":
        return sorted(found, key=lambda m: (_published(m), m.id), reverse=True)
    counted = "downloads" if order == "Most Downloaded" else "thumbs_up"
    return sorted(found, key=lambda m: (-sum(getattr(v, counted) for v in m.versions), m.id))


def _published(model: PublishedModel) -> dt.datetime:
    return max(version.published_at for version in model.versions)


def _model_filters(
    hub: DemoHub, request: Request, *, has_key: bool
) -> list[Callable[[PublishedModel], bool]]:
    tests: list[Callable[[PublishedModel], bool]] = []
    if text := request.first("query"):
        words = text.casefold().split()
        tests.append(lambda m: all(word in _searched(m) for word in words))
    if tag := request.first("tag"):
        tests.append(lambda m: tag in m.tags)
    if user := request.first("username"):
        tests.append(lambda m: m.creator == user)
    if kinds := request.query.get("types"):
        tests.append(lambda m: m.type in kinds)
    if merged := request.first("checkpointType"):
        tests.append(lambda m: m.checkpoint_type == merged)
    if bases := request.query.get("baseModels"):
        tests.append(lambda m: any(v.base_model in bases for v in m.versions))
    if ids := request.first("ids"):
        if not re.fullmatch(r"\d{1,9}(,\d{1,9})*", ids):
            raise Invalid("ids", "Expected a list of numbers")
        wanted = {int(number) for number in ids.split(",")}
        tests.append(lambda m: m.id in wanted)
    if uses := request.query.get("allowCommercialUse"):
        tests.append(lambda m: any(use in m.allow_commercial_use for use in uses))
    if has_key and request.first("favorites") == "true":
        tests.append(lambda m: m.id in hub.favorites)
    if has_key:
        shown = request.first("hidden") == "true"
        tests.append(lambda m: (m.id in hub.hidden) == shown)
    return tests + _plain_filters(request)


def _plain_filters(request: Request) -> list[Callable[[PublishedModel], bool]]:
    tests: list[Callable[[PublishedModel], bool]] = []
    flags: dict[str, Callable[[PublishedModel], bool]] = {
        "supportsGeneration": lambda m: m.supports_generation,
        "earlyAccess": lambda m: any(v.early_access_until for v in m.versions),
        "allowNoCredit": lambda m: m.allow_no_credit,
        "allowDerivatives": lambda m: m.allow_derivatives,
        "allowDifferentLicenses": lambda m: m.allow_different_license,
    }
    for name, test in flags.items():
        value = request.first(name)
        if value not in (None, "true", "false"):
            raise Invalid(name, "Expected boolean")
        if value is not None:
            tests.append(lambda m, test=test, value=value: test(m) == (value == "true"))  # type: ignore[misc]
    if request.first("nsfw") != "true":
        tests.append(lambda m: bool(levels(m.versions) & _PUBLIC_LEVELS))
    period = request.first("period") or "AllTime"
    if period not in ("AllTime", *_PERIODS):
        raise Invalid("period", f"Invalid enum value. Received '{period}'")
    if period in _PERIODS:
        since = dt.datetime.now(dt.UTC) - dt.timedelta(days=_PERIODS[period])
        tests.append(lambda m: _published(m) >= since)
    return tests


def _searched(model: PublishedModel) -> str:
    words = [word for version in model.versions for word in version.trained_words]
    return " ".join([model.name, model.creator or "", *model.tags, *words]).casefold()


def images(hub: DemoHub, request: Request) -> Reply:
    """``/images``: previews, newest version first, pages by cursor."""
    try:
        limit = _whole(request, "limit", 100, most=200)
        model_id = _whole(request, "modelId", 0, most=2**31 - 1)
        version_id = _whole(request, "modelVersionId", 0, most=2**31 - 1)
        offset = _offset(request)
    except Invalid as invalid:
        return invalid.reply()
    user = request.first("username")
    wanted_levels = _image_levels(request)
    found = [
        (shelved, image)
        for shelved in reversed(hub.shelf.versions())
        if shelved.is_public and shelved.model.mode != "TakenDown"
        if not model_id or shelved.model.id == model_id
        if not version_id or shelved.version.id == version_id
        if user is None or shelved.model.creator == user
        for image in shelved.version.images
        if image.nsfw_level & wanted_levels
    ]
    items = [_image_item(hub, *pair) for pair in found[offset : offset + limit]]
    metadata = _cursor_metadata(hub, request, offset + limit, len(found), limit)
    return json_reply(200, {"items": items, "metadata": metadata})


def _image_levels(request: Request) -> int:
    """The levels that `browsingLevel` or the older `nsfw` asks for; PG alone by default."""
    level = request.first("browsingLevel")
    if level is not None and re.fullmatch(r"\d{1,4}", level):
        return int(level)
    named = {"true": 28, "false": 1, "None": 1, "Soft": 3, "Mature": 7, "X": 31, "Blocked": 32}
    return named.get(request.first("nsfw") or "None", _PUBLIC_LEVELS)


def _image_item(hub: DemoHub, shelved: ShelvedVersion, image: PublishedImage) -> Json:
    names = {1: "None", 2: "Soft", 4: "Mature"}
    return {
        **hub.writer.image(image),
        "nsfw": image.nsfw_level > 1,
        "nsfwLevel": names.get(image.nsfw_level, "X"),
        "browsingLevel": image.nsfw_level,
        "createdAt": instant(shelved.version.published_at),
        "postId": shelved.version.id,
        "username": shelved.model.creator,
        "baseModel": shelved.version.base_model,
        "modelVersionIds": [shelved.version.id],
        "stats": {"likeCount": 0, "heartCount": 0, "laughCount": 0, "cryCount": 0},
    }


def creators(hub: DemoHub, request: Request) -> Reply:
    """``/creators``: by name, pages by number."""
    counts = Counter(model.creator for model in hub.shelf.models() if model.creator)
    entries = [
        {
            "username": name,
            "modelCount": counts[name],
            "link": f"{hub.url}/api/v1/models?{urlencode({'username': name})}",
        }
        for name in sorted(counts)
    ]
    return _paged(hub, request, entries, "username")


def tags(hub: DemoHub, request: Request) -> Reply:
    """``/tags``: by name, pages by number."""
    names = sorted({tag for model in hub.shelf.models() for tag in model.tags})
    entries = [
        {"name": name, "link": f"{hub.url}/api/v1/models?{urlencode({'tag': name})}"}
        for name in names
    ]
    return _paged(hub, request, entries, "name")


def _paged(hub: DemoHub, request: Request, entries: Sequence[Json], searched: str) -> Reply:
    try:
        limit = _whole(request, "limit", 20, most=200)
        page = _whole(request, "page", 1, most=10**6) or 1
    except Invalid as invalid:
        return invalid.reply()
    query = (request.first("query") or "").casefold()
    found = [entry for entry in entries if query in str(entry[searched]).casefold()]
    size = limit or len(found) or 1
    pages = max(1, -(-len(found) // size))
    metadata: Json = {
        "totalItems": len(found),
        "currentPage": page,
        "pageSize": size,
        "totalPages": pages,
    }
    if page < pages:
        metadata["nextPage"] = _with(hub, request, page=str(page + 1))
    return json_reply(200, {"items": found[(page - 1) * size : page * size], "metadata": metadata})


def _whole(request: Request, name: str, default: int, *, most: int) -> int:
    text = request.first(name)
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,10}", text):
        raise Invalid(name, "Expected number")
    if int(text) > most:
        raise Invalid(name, f"Number must be less than or equal to {most}")
    return int(text)


def _offset(request: Request) -> int:
    cursor = request.first("cursor")
    if cursor is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(cursor.encode()).removeprefix(b"after:"))
    except (ValueError, binascii.Error) as error:
        raise Invalid("cursor", "Invalid cursor") from error


def _cursor_metadata(
    hub: DemoHub, request: Request, end: int, total: int, limit: int
) -> dict[str, Any]:
    if end >= total or limit == 0:
        return {}
    cursor = base64.urlsafe_b64encode(b"after:%d" % end).decode()
    return {"nextCursor": cursor, "nextPage": _with(hub, request, cursor=cursor)}


def _with(hub: DemoHub, request: Request, **changed: str) -> str:
    kept = {
        name: values
        for name, values in request.query.items()
        if name not in changed and name not in ("token", "page")
    }
    return f"{hub.url}{request.path}?{urlencode({**kept, **changed}, doseq=True)}"

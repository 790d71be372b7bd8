"""``GET /api/download/models/:versionId``: who may have which file, and the link to it."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from modelhub.demo import pages
from modelhub.demo.answers import instant
from modelhub.demo.choice import chosen_file
from modelhub.demo.httpd import Reply, Request, json_reply
from modelhub.demo.published import PublishedFile
from modelhub.demo.shelf import ShelvedVersion

if TYPE_CHECKING:
    from modelhub.demo.hub import DemoHub

_UNCACHED = "no-store, max-age=0"
_BROWSERS = ("mozilla", "chrome", "safari", "firefox", "opera", "edge")
_PARAMETERS = ("type", "format", "size", "fp", "quantType", "fileId")


def is_browser(request: Request) -> bool:
    """Whether the server takes the client for a browser, and answers with pages."""
    agent = request.headers.get("user-agent", "").lower()
    return any(word in agent for word in _BROWSERS)


def refusal(request: Request, status: int, message: str) -> Reply:
    """An error: JSON, or plain text for a browser."""
    if is_browser(request):
        headers = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": _UNCACHED}
        return Reply(status, headers, [message.encode()])
    return json_reply(status, {"error": message}, Cache_Control=_UNCACHED)


def download(hub: DemoHub, request: Request, version_id: str, *, has_key: bool) -> Reply:
    """The redirect to a presigned link, or why there is none."""
    wish = {name: value for name in _PARAMETERS if (value := request.first(name)) is not None}
    if not re.fullmatch(r"[0-9]{1,9}", version_id) or not re.fullmatch(
        r"[0-9]{1,9}", wish.get("fileId", "0")
    ):
        return refusal(request, 400, "Invalid modelVersionId or parameter")
    shelved = hub.shelf.version(int(version_id))
    if shelved is None or not shelved.is_public:
        return _not_found(request)
    refused = _refused(request, shelved, has_key)
    if refused is not None:
        return refused
    stored = chosen_file(shelved.files, wish)
    if stored is None and wish.get("type") == "VAE" and "fileId" not in wish:
        linked = hub.shelf.version(shelved.version.vae_version_id or 0)
        stored = (
            next((one for one in linked.files if one.file.type == "Model"), None)
            if linked
            else None
        )
    if stored is None:
        return _not_found(request)
    link = hub.signer.signed(stored.storage_path, disposition(stored.file))
    return _redirect(hub.storage_url + link)


def _not_found(request: Request) -> Reply:
    return refusal(request, 404, "File not found")


def _refused(request: Request, shelved: ShelvedVersion, has_key: bool) -> Reply | None:
    """Why this user may not have the version's files, in the order in which the server asks."""
    version = shelved.version
    if shelved.model.mode == "Archived":
        return refusal(request, 410, "Model archived, not available for download")
    if version.usage_control != "Download":
        return _denied(
            401, "Unauthorized", "The creator of this asset has disabled downloads on this file"
        )
    if version.login_required and not has_key:
        if is_browser(request):
            back = quote(f"/model-versions/{version.id}", safe="")
            return _redirect(f"/login?returnUrl={back}&reason=download-auth")
        return _denied(
            401,
            "Unauthorized",
            "The creator of this asset requires you to be logged in to download it",
        )
    until = version.early_access_until
    if until is not None and until > dt.datetime.now(dt.UTC):
        if is_browser(request):
            return _redirect(f"/model-versions/{version.id}")
        return _denied(
            403,
            "Early Access",
            "This asset is in Early Access. You can use Buzz access it now!",
            deadline=instant(until),
        )
    return None


def _denied(status: int, error: str, message: str, **more: str) -> Reply:
    answer = {"error": error, **more, "message": message}
    return json_reply(status, answer, Cache_Control=_UNCACHED)


def _redirect(where: str) -> Reply:
    return Reply(307, {"Location": where, "Cache-Control": _UNCACHED})


def page(request: Request) -> Reply | None:
    """The pages that a browser is sent to."""
    if request.path == "/login":
        return pages.fault_page("login", None)
    if re.fullmatch(r"/(models|model-versions)/\d+(/[^/]*)?", request.path):
        return pages.html_page(200, "A model | Civitai", "The page of a model")
    return None


def disposition(file: PublishedFile) -> str | None:
    """The Content-Disposition that storage is to answer with (RFC 6266)."""
    name = file.download_name if file.download_name is not None else file.name
    ascii_name = re.sub(r"[^\x20-\x7e]", "_", name)
    plain = 'filename="' + re.sub(r'(["\\])', r"\\\1", ascii_name) + '"'
    extended = "filename*=UTF-8''" + quote(name, safe="")
    return {
        "plain": f"attachment; {plain}",
        "extended": f"attachment; {extended}",
        "both": f"attachment; {plain}; {extended}",
        "none": None,
    }[file.disposition]

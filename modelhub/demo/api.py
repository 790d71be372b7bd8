"""The API server: routes, keys, conditional answers, and the control of faults.

Limits, statuses and texts as in ``src/pages/api`` of civitai/civitai.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Callable
from typing import TypeAlias

from modelhub.demo import listings
from modelhub.demo.downloads import download, page
from modelhub.demo.enums import ENUMS
from modelhub.demo.faults import BadFault, Fault
from modelhub.demo.httpd import HubHandler, Reply, Request, json_reply
from modelhub.demo.lookups import Lookups, not_found
from modelhub.demo.storage import failure
from modelhub.demo.tampering import tampered
from modelhub.network import is_loopback

_INT4_MAX = 2**31 - 1
_EDGE_300 = "public, s-maxage=300, stale-while-revalidate=150"
_EDGE_HOUR = "public, s-maxage=3600, stale-while-revalidate=1800"
_Route: TypeAlias = Callable[["ApiHandler", Request, str], Reply]


class ApiHandler(HubHandler):
    """Answers as civitai.com does."""

    server_version = "DemoCivitai"

    def answer(self, request: Request) -> Reply:
        """The reply to `request`: JSON mostly, with an ETag where the edge caches."""
        if request.path.startswith("/demo/"):
            return self._control(request)
        fault = self.claim(
            request, "rate_limit", "server_error", "html_page", "redirect_loop", "redirect_to"
        )
        if fault is not None:
            return failure(fault, request, "api")
        reply = self._routed(request)
        return _conditional(request, self._tampered(request, reply))

    def _routed(self, request: Request) -> Reply:
        for method, pattern, route in _ROUTES:
            match = pattern.fullmatch(request.path)
            if match:
                if method != request.method and (method, request.method) != ("GET", "HEAD"):
                    continue
                return route(self, request, match[1] if match.groups() else "")
        known = any(pattern.fullmatch(request.path) for _, pattern, _ in _ROUTES)
        if known:
            return json_reply(405, {"error": "Method Not Allowed"})
        return page(request) or not_found("Not found")

    def _tampered(self, request: Request, reply: Reply) -> Reply:
        if reply.status != 200 or not reply.headers.get("Content-Type", "").startswith(
            "application/json"
        ):
            return reply
        for kind in ("wrong_hash", "missing_hashes", "wrong_shape", "truncated_json"):
            fault = self.claim(request, kind)
            if fault is not None:
                body = b"".join(part for part in reply.body if isinstance(part, bytes))
                reply.body = [tampered(fault, body)]
        return reply

    def has_key(self, request: Request) -> bool:
        """Whether the request proves to be of the hub's user; a wrong key counts as none."""
        bearer = request.headers.get("authorization", "")
        given = bearer[7:] if bearer.startswith("Bearer ") else request.first("token")
        return given in self.server.hub.keys

    def _control(self, request: Request) -> Reply:
        host = request.headers.get("host", "").rsplit(":", 1)[0]
        if not is_loopback(self.client_address[0]) or not is_loopback(host):
            return json_reply(403, {"error": "From this machine only"})
        if "origin" in request.headers:
            return json_reply(403, {"error": "Not for pages in a browser"})
        faults = self.server.hub.faults
        if request.path == "/demo/faults":
            if request.method == "POST":
                try:
                    fault = Fault.from_json(json.loads(request.body))
                except (BadFault, ValueError) as error:
                    return json_reply(400, {"error": str(error)})
                return json_reply(201, faults.add(fault).as_json())
            if request.method == "DELETE":
                faults.clear()
                return Reply(204)
            return json_reply(200, [fault.as_json() for fault in faults])
        match = re.fullmatch(r"/demo/faults/(\d{1,9})", request.path)
        if match and request.method == "DELETE" and faults.remove(int(match[1])):
            return Reply(204)
        return not_found("No such fault")

    def _lookups(self) -> Lookups:
        return Lookups(self.server.hub)

    def _mixed(self, request: Request, reply: Reply) -> Reply:
        """Answers that may differ by user are kept by the edge for those without a key only."""
        return reply if self.has_key(request) else _cached(reply, _EDGE_300)

    def _model(self, request: Request, number: str) -> Reply:
        if not 0 < int(number[:12]) <= _INT4_MAX:
            return json_reply(400, {"error": f"Invalid model id: {number}"})
        return _cached(self._lookups().model(int(number)), _EDGE_300)

    def _version(self, request: Request, number: str) -> Reply:
        if not 0 < int(number[:12]) <= _INT4_MAX:
            return json_reply(400, {"error": f"Invalid version id: {number}"})
        return self._mixed(request, self._lookups().version(int(number)))

    def _by_hash(self, request: Request, value: str) -> Reply:
        return _cached(self._lookups().by_hash(value), _EDGE_HOUR)

    def _by_hashes(self, request: Request, _: str) -> Reply:
        return self._lookups().by_hashes(request.body)

    def _ids_by_hashes(self, request: Request, _: str) -> Reply:
        return self._lookups().ids_by_hashes(request.body)

    def _mini(self, request: Request, number: str) -> Reply:
        return self._mixed(request, self._lookups().mini(int(number[:12]), request))

    def _tensors(self, request: Request, number: str) -> Reply:
        return self._lookups().tensor_metadata(int(number[:12]), request)

    def _enums(self, request: Request, _: str) -> Reply:
        return _cached(json_reply(200, copy.deepcopy(ENUMS)), _EDGE_HOUR)

    def _me(self, request: Request, _: str) -> Reply:
        if not self.has_key(request):
            return json_reply(401, {"error": "Unauthorized"})
        return json_reply(
            200,
            {
                "id": 1,
                "username": "demo-user",
                "tier": "free",
                "status": "active",
                "isMember": False,
                "subscriptions": [],
            },
        )

    def _models(self, request: Request, _: str) -> Reply:
        has_key = self.has_key(request)
        return self._mixed(request, listings.models(self.server.hub, request, has_key=has_key))

    def _images(self, request: Request, _: str) -> Reply:
        return _cached(listings.images(self.server.hub, request), _EDGE_300)

    def _creators(self, request: Request, _: str) -> Reply:
        return _cached(listings.creators(self.server.hub, request), _EDGE_300)

    def _tags(self, request: Request, _: str) -> Reply:
        return _cached(listings.tags(self.server.hub, request), _EDGE_300)

    def _download(self, request: Request, version_id: str) -> Reply:
        return download(self.server.hub, request, version_id, has_key=self.has_key(request))

    def _bad_id(self, request: Request, text: str) -> Reply:
        return json_reply(400, {"error": f"Invalid id: {text[:80]}"})


def _cached(reply: Reply, policy: str) -> Reply:
    """Let the edge keep an answer that says nothing else about it."""
    reply.headers.setdefault("Cache-Control", policy)
    return reply


def _conditional(request: Request, reply: Reply) -> Reply:
    """Give an answer its ETag, and answer 304 when the client has it already."""
    if request.method not in ("GET", "HEAD") or reply.status != 200:
        return reply
    body = b"".join(part for part in reply.body if isinstance(part, bytes))
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:27]}"'
    reply.headers["ETag"] = etag
    known = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
    if etag in known or etag.removeprefix("W/") in known or "*" in known:
        return Reply(304, {n: v for n, v in reply.headers.items() if n != "Content-Type"})
    return reply


def _route(method: str, pattern: str, route: _Route) -> tuple[str, re.Pattern[str], _Route]:
    return method, re.compile(pattern), route


_V1 = "/api/v1"
_ROUTES: list[tuple[str, re.Pattern[str], _Route]] = [
    _route("GET", rf"{_V1}/models", ApiHandler._models),
    _route("GET", rf"{_V1}/models/(\d+)", ApiHandler._model),
    _route("GET", rf"{_V1}/model-versions/(\d+)", ApiHandler._version),
    _route("POST", rf"{_V1}/model-versions/by-hash", ApiHandler._by_hashes),
    _route("POST", rf"{_V1}/model-versions/by-hash/ids", ApiHandler._ids_by_hashes),
    _route("GET", rf"{_V1}/model-versions/by-hash/([^/]+)", ApiHandler._by_hash),
    _route("GET", rf"{_V1}/model-versions/mini/(\d+)", ApiHandler._mini),
    _route("GET", rf"{_V1}/model-files/(\d+)/tensor-metadata", ApiHandler._tensors),
    _route("GET", rf"{_V1}/enums", ApiHandler._enums),
    _route("GET", rf"{_V1}/me", ApiHandler._me),
    _route("GET", rf"{_V1}/images", ApiHandler._images),
    _route("GET", rf"{_V1}/creators", ApiHandler._creators),
    _route("GET", rf"{_V1}/tags", ApiHandler._tags),
    _route("GET", r"/api/download/models/([^/]+)", ApiHandler._download),
    _route("GET", rf"{_V1}/models/([^/]+)", ApiHandler._bad_id),
    _route("GET", rf"{_V1}/model-versions/([^/]+)", ApiHandler._bad_id),
]

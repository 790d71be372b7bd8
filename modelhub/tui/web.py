"""`modelhub tui --web`: the same program in a browser, on loopback, for who has the token.

textual-serve starts a process of `modelhub tui` for each window that is opened, and carries its
screen over a websocket. Here it is told which addresses to answer at, and to whom: the address
that is printed holds a token, which the browser then keeps as a cookie. Any other page that the
browser has open, and any other user of the machine, is refused.
"""

from __future__ import annotations

import hmac
import secrets
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from modelhub.errors import MissingExtra, ModelhubError

HOST = "127.0.0.1"
_ASIDE = 303
_PAGES = Path(__file__).with_name("webpage")


def bound_socket(port: int) -> socket.socket:
    """A socket on loopback.

    :param port: 0: any that is free.
    :raises ModelhubError: the port is taken, or may not be used.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or error
        hint = "choose another with --port, or leave --port out"
        raise ModelhubError(f"cannot listen on port {port}: {reason}", hint=hint) from error
    return listening


def command_line(config_path: Path | None) -> str:
    """The command of the process behind a window, as a shell takes it."""
    words = [sys.executable, "-m", "modelhub", "tui"]
    if config_path is not None:
        words += ["--config", str(config_path.absolute())]
    return shlex.join(words)


def serve(config_path: Path | None, port: int, tell: Callable[[str], None]) -> None:
    """Serve until Ctrl-C.

    :param port: 0: any that is free.
    :param tell: gets the address, token and all, once it answers.
    :raises MissingExtra: textual-serve is not installed.
    :raises ModelhubError: the port cannot be had.
    """
    try:
        from aiohttp import web
        from textual_serve.server import Server
    except ImportError as error:
        raise MissingExtra(
            "serving to a browser needs textual-serve, which is not installed",
            hint="pip install 'modelhub[tui]'",
        ) from error
    listening = bound_socket(port)
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(24)
    guard = _guard(web, token, port)

    class Guarded(Server):
        async def _make_app(self) -> Any:
            made = await super()._make_app()
            made.middlewares.append(guard)
            return made

        async def on_startup(self, app: Any) -> None:
            tell(f"http://{HOST}:{port}/?token={token}")

    server = Guarded(
        command_line(config_path),
        host=HOST,
        port=port,
        title="modelhub",
        public_url=f"http://{HOST}:{port}",
        templates_path=_PAGES,
    )
    with listening:
        web.run_app(server._make_app(), sock=listening, print=None, access_log=None)


def _guard(web: Any, token: str, port: int) -> Any:
    """Lets in who brings the token, and takes it out of the address."""
    cookie = f"modelhub_{port}"
    origin = f"http://{HOST}:{port}"

    async def guard(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        if request.headers.get("Host") != f"{HOST}:{port}":
            raise web.HTTPForbidden(text="This server answers at its own address only.")
        if request.headers.get("Origin", origin) != origin:
            raise web.HTTPForbidden(text="This server answers its own pages only.")
        if _is(request.query.get("token"), token) and request.method == "GET":
            answer = web.Response(status=_ASIDE, headers={"Location": "/"})
            answer.set_cookie(cookie, token, httponly=True, samesite="Strict", path="/")
            return answer
        if not _is(request.cookies.get(cookie), token):
            raise web.HTTPForbidden(text="Open the address that `modelhub tui --web` printed.")
        answer = await handler(request)
        if not answer.prepared:
            # Whatever a name or a description on the screen holds: nothing leaves here.
            answer.headers["Content-Security-Policy"] = (
                f"default-src 'self' 'unsafe-inline' data: blob:; connect-src 'self' ws://{HOST}:{port}"
            )
            answer.headers["Referrer-Policy"] = "no-referrer"
            answer.headers["X-Frame-Options"] = "DENY"
        return answer

    return web.middleware(guard)


def _is(given: str | None, token: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), token.encode())

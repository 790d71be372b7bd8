"""The HTML and XML that Civitai, its edge and its object storage answer with."""

from __future__ import annotations

import html
from typing import Literal

from modelhub.demo.httpd import Reply

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><main><h1>{title}</h1><p>{text}</p></main></body></html>
"""
_XML = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>{code}</Code><Message>{message}</Message><RequestId>demo</RequestId></Error>"""


def html_page(status: int, title: str, text: str) -> Reply:
    """A page for people; both texts are escaped."""
    body = _PAGE.format(title=html.escape(title), text=html.escape(text)).encode()
    headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "private, no-store"}
    return Reply(status, headers, [body])


def fault_page(page: Literal["login", "maintenance"], status: int | None) -> Reply:
    """The login page, which comes with status 200, or the maintenance page, which is a 503."""
    if page == "login":
        return html_page(status or 200, "Login | Civitai", "Sign in to continue")
    return html_page(status or 503, "Maintenance", "We will be back in a moment")


def edge_page(status: int) -> Reply:
    """What the edge shows when the server behind it fails."""
    return html_page(status, f"{status}: Web server is returning an unknown error", "Try again")


def storage_error(status: int, code: str, message: str) -> Reply:
    """An error as S3 words it."""
    body = _XML.format(code=code, message=html.escape(message)).encode()
    return Reply(status, {"Content-Type": "application/xml"}, [body])

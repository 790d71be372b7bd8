"""Test images: what files do, one by one or side by side; and what was rendered before.

Nothing here imports torch: pictures are made in a process of their own
(:mod:`modelhub.render.client`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelhub.services.render.again import Again, render_again
    from modelhub.services.render.browsing import (
        ShownRender,
        delete_render,
        find_renders,
        make_preview,
        show_render,
    )
    from modelhub.services.render.outcome import (
        Apart,
        FailedImage,
        Grid,
        RenderedImage,
        RenderReport,
    )
    from modelhub.services.render.run import render
    from modelhub.services.render.wish import RenderWish

# Loaded when first used: listing what was rendered needs none of what renders.
_HOMES = {
    "Again": "again",
    "render_again": "again",
    "ShownRender": "browsing",
    "delete_render": "browsing",
    "find_renders": "browsing",
    "make_preview": "browsing",
    "show_render": "browsing",
    "Apart": "outcome",
    "FailedImage": "outcome",
    "Grid": "outcome",
    "RenderedImage": "outcome",
    "RenderReport": "outcome",
    "render": "run",
    "RenderWish": "wish",
}

__all__ = [
    "Again",
    "Apart",
    "FailedImage",
    "Grid",
    "RenderReport",
    "RenderWish",
    "RenderedImage",
    "ShownRender",
    "delete_render",
    "find_renders",
    "make_preview",
    "render",
    "render_again",
    "show_render",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)

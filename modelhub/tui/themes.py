"""The colours: a dark theme and a light one of our own, beside those of Textual."""

from __future__ import annotations

from textual.theme import Theme

DARK = "modelhub-dark"
LIGHT = "modelhub-light"

THEMES = (
    Theme(
        name=DARK,
        primary="#7aa2f7",
        secondary="#7dcfff",
        accent="#e0af68",
        success="#9ece6a",
        warning="#e0af68",
        error="#f7768e",
        foreground="#c8d0e0",
        background="#14161d",
        surface="#191c25",
        panel="#232734",
        dark=True,
    ),
    Theme(
        name=LIGHT,
        primary="#2f5fc4",
        secondary="#17709a",
        accent="#8f5500",
        success="#2f6f2f",
        warning="#8f5500",
        error="#b3253f",
        foreground="#22262e",
        background="#f7f7f5",
        surface="#f0f0ed",
        panel="#e2e3e0",
        dark=False,
    ),
)

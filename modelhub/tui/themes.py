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
        variables={
            "scrollbar": "#3b4261",
            "scrollbar-hover": "#545c7e",
            "scrollbar-active": "#7aa2f7",
            "scrollbar-background": "#191c25",
            "scrollbar-background-hover": "#191c25",
            "scrollbar-background-active": "#191c25",
            "scrollbar-corner-color": "#191c25",
        },
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
        variables={
            "scrollbar": "#b4b7bf",
            "scrollbar-hover": "#8f939c",
            "scrollbar-active": "#2f5fc4",
            "scrollbar-background": "#e9e9e6",
            "scrollbar-background-hover": "#e9e9e6",
            "scrollbar-background-active": "#e9e9e6",
            "scrollbar-corner-color": "#e9e9e6",
        },
    ),
)

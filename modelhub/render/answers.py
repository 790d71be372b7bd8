"""What the renderer says while it works, and what it gives: plain values, sent as JSON."""

from __future__ import annotations

import msgspec

from modelhub.render.request import Settings


class Loading(msgspec.Struct, frozen=True, kw_only=True, tag="loading"):
    """A part of the pipeline is read; `done` and `total` are bytes."""

    id: str
    what: str
    done: int
    total: int


class Stepped(msgspec.Struct, frozen=True, kw_only=True, tag="stepped"):
    """`done` of `total` steps are through; `preview` is a small PNG of the latents, or empty."""

    id: str
    done: int
    total: int
    preview: bytes = b""


class Told(msgspec.Struct, frozen=True, kw_only=True, tag="told"):
    """Something that the user should know: where it computes, what was retried and why."""

    id: str
    text: str
    warning: bool = False


class Rendered(msgspec.Struct, frozen=True, kw_only=True, tag="rendered"):
    """The image and all that made it.

    :param png: without metadata; lossless.
    :param settings: all of them, the defaults filled in.
    :param arithmetic: in which type it was computed: ``fp32``; with ``weights`` beside it the
        label ``fp16 weights, fp32 arithmetic``.
    :param device: in words: ``cpu (AMD EPYC, 2 threads)``.
    :param versions: of torch, diffusers, transformers.
    :param seconds_loading: 0 when the pipeline was warm.
    :param peak_bytes: of the device's memory, or of the process on a CPU.
    :param faults: ``nan``, ``black``, ``uniform``; empty for a good image.
    """

    id: str
    png: bytes
    width: int
    height: int
    settings: Settings
    weights: str
    arithmetic: str
    device: str
    versions: dict[str, str]
    seconds_loading: float
    seconds_steps: float
    seconds_decoding: float
    peak_bytes: int
    faults: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """It came to nothing. `error` is the name of a class in :mod:`modelhub.errors`."""

    id: str
    error: str
    message: str
    hint: str


class Devices(msgspec.Struct, frozen=True, kw_only=True, tag="devices"):
    """What there is to compute on, the best first.

    :param names: as a request wishes for them: ``cuda:0``, ``cpu``.
    :param words: of each, for people: ``cuda (NVIDIA GeForce RTX 3060)``.
    """

    id: str
    names: tuple[str, ...]
    words: tuple[str, ...]


Answer = Loading | Stepped | Told | Rendered | Failed | Devices

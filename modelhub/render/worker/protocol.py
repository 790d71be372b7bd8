"""What the renderer's process is told and what it says: frames of JSON on a socket.

A frame is that of :class:`multiprocessing.connection.Connection`: its length, then its bytes; both
sides refuse one that is longer than they would ever be sent. Orders go down (:data:`Order`),
answers come up (:data:`modelhub.render.answers.Answer`). The answers of one request end with
``Rendered`` or ``Failed``.
"""

from __future__ import annotations

from multiprocessing.connection import Connection

import msgspec

from modelhub.errors import UsageError
from modelhub.render.answers import Answer
from modelhub.render.request import Request

LONGEST_ORDER = 16 << 20
"""Bytes of a frame to the process: the longest part is the prompt."""
LONGEST_ANSWER = 1 << 30
"""Bytes of a frame from the process: the longest part is a PNG, in base64."""


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag="begin"):
    """The first order: how the process is to behave.

    :param keep_warm: seconds without an order after which it ends.
    :param memory: bytes of parts that it may keep for later requests; 0: as it thinks best.
    """

    keep_warm: float
    memory: int


class Render(msgspec.Struct, frozen=True, tag="render"):
    """Make this image."""

    request: Request


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Give up the request with this id, if it is still under way."""

    id: str


class ListDevices(msgspec.Struct, frozen=True, tag="devices"):
    """Say what there is to compute on."""

    id: str


Order = Begin | Render | Cancel | ListDevices

_order_decoder: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
_answer_decoder: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def give_order(connection: Connection, order: Order) -> None:
    """Send an order.

    :raises OSError: the process is gone.
    :raises UsageError: it is longer than any sensible one.
    """
    frame = msgspec.json.encode(order)
    if len(frame) > LONGEST_ORDER:
        raise UsageError(
            f"the request is {len(frame):,} bytes long: {LONGEST_ORDER:,} are the most",
            hint="make the prompt shorter",
        )
    connection.send_bytes(frame)


def next_order(connection: Connection) -> Order:
    """Wait for an order.

    :raises EOFError, OSError: the other end is closed, or sent a frame that is too long.
    :raises msgspec.MsgspecError: it is none.
    """
    return _order_decoder.decode(connection.recv_bytes(LONGEST_ORDER))


def give_answer(connection: Connection, answer: Answer) -> None:
    """Send an answer.

    :raises OSError: the other end is closed.
    """
    connection.send_bytes(msgspec.json.encode(answer))


def next_answer(connection: Connection) -> Answer:
    """Wait for an answer.

    :raises EOFError, OSError: the process is gone, or sent a frame that is too long.
    :raises msgspec.MsgspecError: it is none.
    """
    return _answer_decoder.decode(connection.recv_bytes(LONGEST_ANSWER))

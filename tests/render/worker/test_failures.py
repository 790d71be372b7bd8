"""Errors that cross from one process to the other stay what they are."""

from __future__ import annotations

import msgspec
import pytest

from modelhub import errors
from modelhub.errors import FormatError, ModelhubError, RenderFailed, UsageError
from modelhub.render.answers import Failed
from modelhub.render.worker.failures import failed, raised

CLASSES = sorted(
    (
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, ModelhubError)
    ),
    key=lambda one: one.__name__,
)


@pytest.mark.parametrize("error", CLASSES, ids=lambda one: one.__name__)
def test_every_error_arrives_with_its_exit_code_message_and_hint(
    error: type[ModelhubError],
) -> None:
    said = Failed(id="1", error=error.__name__, message="what (at byte 1,234)", hint="do that")
    arrived = raised(msgspec.json.decode(msgspec.json.encode(said), type=Failed))
    assert isinstance(arrived, ModelhubError)
    assert issubclass(error, type(arrived))
    assert arrived.exit_code == error.exit_code
    assert str(arrived) == "what (at byte 1,234)"
    assert arrived.hint == "do that"


def test_errors_without_more_to_say_keep_their_class() -> None:
    sent = failed("7", UsageError("0 steps", hint="at least 1"))
    assert sent == Failed(id="7", error="UsageError", message="0 steps", hint="at least 1")
    assert type(raised(sent)) is UsageError


def test_a_damaged_file_is_told_with_its_place() -> None:
    arrived = raised(failed("7", FormatError("no end", path="/a b.safetensors", offset=4096)))
    assert isinstance(arrived, FormatError)
    assert arrived.offset == 4096
    assert str(arrived) == "/a b.safetensors: no end (at byte 4,096)"


@pytest.mark.parametrize("name", ["", "Exception", "annotations", "NoSuchError", "__doc__"])
def test_a_name_of_no_error_is_a_failed_render(name: str) -> None:
    assert type(raised(Failed(id="1", error=name, message="m", hint=""))) is RenderFailed

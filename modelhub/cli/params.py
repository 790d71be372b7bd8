"""Values of options that are more than text and numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from click import Context, Parameter

    _BytesParameter = click.ParamType[int]
else:
    # Generic for type checkers only: click learnt it later than the oldest that we run on.
    _BytesParameter = click.ParamType

Function = TypeVar("Function", bound=Callable[..., Any])

PRECISIONS = click.Choice(["fp32", "fp16", "bf16"])
"""What weights are cast or rounded to."""


def options_of(*decorators: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Decorators as one, in the order of `--help`."""

    def decorate(function: Function) -> Function:
        for one in reversed(decorators):
            function = one(function)
        return function

    return decorate


class SizeType(_BytesParameter):
    """A size or rate as in the configuration file (``20MB/s``, ``1GiB``), as bytes."""

    name = "size"

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> int:
        """The bytes that `value` means; a number is bytes already."""
        from modelhub.config.units import parse_bytes

        if isinstance(value, int):
            return value
        try:
            return parse_bytes(str(value))
        except ValueError as error:
            self.fail(f"{error}, not {value!r}", param, ctx)


SIZE = SizeType()

"""What listings can be asked for, in Python's spelling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from modelhub.errors import UsageError

SORTS = {"rating": "Highest Rated", "downloads": "Most Downloaded", "newest": "Newest"}
"""Civitai's word for each order, by ours."""
PERIODS = {"all": "AllTime", "year": "Year", "month": "Month", "week": "Week", "day": "Day"}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@dataclass(frozen=True, kw_only=True)
class _Filters:
    """Fields that are None, empty or False are left open: the server refuses some by presence."""

    most: ClassVar[int] = 100

    limit: int | None = None
    """Items a page."""

    def params(self) -> dict[str, str | int | list[str]]:
        """The query of the request.

        :raises UsageError: the limit is out of range.
        """
        if self.limit is not None and not 1 <= self.limit <= self.most:
            raise UsageError(f"a page holds 1 to {self.most} items, not {self.limit}")
        found: dict[str, str | int | list[str]] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None or value is False or value == ():
                continue
            if value is True:
                found[_camel(item.name)] = "true"
            elif isinstance(value, (str, int)):
                found[_camel(item.name)] = value
            else:
                found[_camel(item.name)] = [str(one) for one in value]
        return found


@dataclass(frozen=True, kw_only=True)
class ModelFilters(_Filters):
    """Filters of `GET /api/v1/models`.

    Types, base models, sorts and periods are Civitai's own words (`CivitaiClient.enums`), sorts
    being `Highest Rated`, `Most Downloaded`, `Newest`, ..., periods `AllTime`, `Year`, ... `Day`.
    """

    query: str | None = None
    tag: str | None = None
    username: str | None = None
    types: Sequence[str] = ()
    checkpoint_type: str | None = None
    base_models: Sequence[str] = ()
    sort: str | None = None
    period: str | None = None
    ids: Sequence[int] = ()
    nsfw: bool | None = None
    """True shows images of all levels; None leaves it to the server."""
    primary_file_only: bool = False
    supports_generation: bool = False
    early_access: bool = False
    favorites: bool = False
    """Of the key's owner; needs a key, as `hidden` does."""
    hidden: bool = False
    allow_no_credit: bool = False
    allow_derivatives: bool = False
    allow_commercial_use: Sequence[str] = ()

    def params(self) -> dict[str, str | int | list[str]]:
        """The query of the request; ids go as one list with commas.

        :raises UsageError: the limit is out of range.
        """
        found = super().params()
        if self.ids:
            found["ids"] = ",".join(str(one) for one in self.ids)
        return found


@dataclass(frozen=True, kw_only=True)
class ImageFilters(_Filters):
    """Filters of `GET /api/v1/images`."""

    most: ClassVar[int] = 200

    model_id: int | None = None
    model_version_id: int | None = None
    post_id: int | None = None
    username: str | None = None
    sort: str | None = None
    period: str | None = None
    nsfw: str | None = None
    """`None`, `Soft`, `Mature` or `X`: the highest level."""
    with_meta: bool = False
    """Ask for the generation parameters as well."""


@dataclass(frozen=True, kw_only=True)
class NameFilters(_Filters):
    """Filters of `GET /api/v1/creators` and `/tags`: a part of the name."""

    most: ClassVar[int] = 200

    query: str | None = None

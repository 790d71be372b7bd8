"""Upkeep of the library: index, hash, verify."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct

from modelhub.errors import RootMissing, VerificationError
from modelhub.services.jobs.context import JobContext
from modelhub.services.jobs.model import JobKind


class Index(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of an index run.

    :param paths: roots or what is in them, absolute; empty: all roots.
    :param hash: hash what is new, too.
    """

    paths: tuple[str, ...] = ()
    hash: bool = True


class Hash(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of hashing what waits for it.

    :param roots: only files of these roots, absolute; empty: of all.
    """

    roots: tuple[str, ...] = ()


class Verify(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of a verification.

    :param query: in the search language; empty: all files.
    :param share: of their bytes, from 0 to 1; None: all, or ``verify.share`` with `due`.
    :param due: the share is that of a week, less what was read in the last seven days.
    :param older_than_days: leave out what was verified more recently.
    """

    query: str = ""
    share: float | None = None
    due: bool = False
    older_than_days: float = 0.0


def _index(given: Index, context: JobContext) -> Any:
    from modelhub.services.index import index

    with context.catalog() as catalog:
        report = index(
            [Path(one) for one in given.paths],
            config=context.config,
            catalog=catalog,
            listener=context.listener,
            cancel=context.cancel,
            hash=given.hash,
        )
    if report.roots and all(root.skipped for root in report.roots):
        first = report.roots[0]
        raise RootMissing(f"{first.path}: {first.skipped}", hint="mount its disk, then try again")
    return report


def _hash(given: Hash, context: JobContext) -> Any:
    from modelhub.services.index import hash_waiting

    with context.catalog() as catalog:
        wanted = {Path(one) for one in given.roots}
        ids = {row.id for row in catalog.roots() if row.folder in wanted}
        report = hash_waiting(
            catalog,
            listener=context.listener,
            cancel=context.cancel,
            root_ids=ids if wanted else None,
        )
    return report._asdict()


def _verify(given: Verify, context: JobContext) -> Any:
    from modelhub.services.verify import verify

    share = given.share
    if given.due and share is None:
        share = context.config.verify.share / 100
    with context.catalog() as catalog:
        report = verify(
            catalog,
            query=given.query,
            share=share,
            due=given.due,
            older_than=timedelta(days=given.older_than_days),
            listener=context.listener,
            cancel=context.cancel,
        )
    damaged = [one for one in report.findings if one.verdict.damaged]
    if damaged:
        more = f", and {len(damaged) - 1:,} more" if len(damaged) > 1 else ""
        raise VerificationError(
            f"{damaged[0].path}: {damaged[0].verdict}: {damaged[0].detail}{more}",
            hint="`modelhub list fault:yes` lists them; what is elsewhere or published can be got",
        )
    return report


WORK: dict[JobKind, tuple[type[Struct], Callable[..., Any]]] = {
    JobKind.INDEX: (Index, _index),
    JobKind.HASH: (Hash, _hash),
    JobKind.VERIFY: (Verify, _verify),
}

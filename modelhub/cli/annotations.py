"""What `tag`, `untag` and `rate` share: which files are meant, and what was changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from modelhub.cli.library import opened_catalog
from modelhub.errors import Cancelled
from modelhub.services.listed import file_name
from modelhub.text import plural

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, Changed, FileRow
    from modelhub.cli.context import App

Function = TypeVar("Function", bound=Callable[..., Any])

_ASK_FROM = 20


def file_options(function: Function) -> Function:
    """Decorator: `FILE...`, `--query` and `--yes`, as `files`, `by_query` and `yes`."""
    for decorate in (
        click.option("--yes", "-y", is_flag=True, help="Do not ask, however many files it is."),
        click.option("--query", "by_query", is_flag=True, help="FILE... is a query, as of `list`."),
        click.argument("files", nargs=-1, required=True, metavar="FILE..."),
    ):
        function = decorate(function)
    return function


@contextmanager
def selected_files(
    app: App, files: Sequence[str], *, by_query: bool, yes: bool
) -> Iterator[tuple[Catalog, list[FileRow]]]:
    """The open catalog and the files that are meant; asks before touching very many.

    :raises UnknownFile, AmbiguousFile, QuerySyntaxError: no files can be made out.
    :raises Cancelled: the user said no.
    """
    from modelhub.services.annotate import chosen_files

    with opened_catalog(app) as catalog:
        rows = chosen_files(catalog, files, by_query=by_query)
        question = f"This changes {plural(len(rows), 'file')}. Go on?"
        if len(rows) >= _ASK_FROM and not yes and not app.confirm(question, default=False):
            raise Cancelled(
                f"{plural(len(rows), 'file')} left as they were", hint="--yes changes them"
            )
        hash_before_writing(app, catalog, rows)
        yield catalog, rows


def hash_before_writing(app: App, catalog: Catalog, rows: Sequence[FileRow]) -> None:
    """Hash those of `rows` that wait for it, and say which could not be.

    :raises ModelhubError: none of them could be.
    :raises Cancelled: the user stopped it.
    """
    if all(row.sha256 for row in rows):
        return
    from modelhub.cli.messages import show_error
    from modelhub.services.annotate import hash_first

    with app.progress() as listener:
        failed = hash_first(catalog, rows, listener=listener, cancel=app.cancel)
    if len(failed) == len(rows):
        raise failed[0]
    for error in failed:
        show_error(app, error)


def changed_in_words(changed: Changed, rows: Sequence[FileRow]) -> str:
    """One line: what was changed, by name where it is one file, and what could not be."""
    if len(rows) == 1 and not changed.unhashed:
        return f"{file_name(rows[0])}: {'changed' if changed.blobs else 'unchanged'}"
    same = changed.files - changed.unhashed - changed.blobs
    parts = [f"{plural(changed.blobs, 'file')} changed"]
    if same > 0:
        parts.append(f"{same:,} unchanged")
    if changed.unhashed:
        parts.append(f"{changed.unhashed:,} left out: they could not be hashed")
    return ", ".join(parts)

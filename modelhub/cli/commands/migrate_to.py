"""`modelhub migrate-to`: from the SQLite files to a PostgreSQL server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.output import Column, json_option, print_json, print_table
from modelhub.text import plural

if TYPE_CHECKING:
    from modelhub.services.migrate import CopiedTable, Migration


@click.command()
@click.argument("url")
@json_option
@pass_app
def command(app: App, url: str, as_json: bool) -> None:
    """Copy the catalog and the jobs to the empty PostgreSQL database at URL.

    Several machines can then share the library. Every row is read again on both sides and compared.
    It is one transaction: whatever stops it, the database holds nothing of the library, and the
    same command begins anew. The files in SQLite stay as they are; models are not touched.

    A database that holds a library already is refused, and so is a library whose daemon runs.

    \b
    Example:
      createdb modelhub
      modelhub migrate-to postgresql+psycopg://USER@HOST/modelhub
    """
    try:
        from modelhub.services.migrate import migrate_to
    except ImportError as error:
        from modelhub.errors import MissingExtra

        raise MissingExtra(
            f"PostgreSQL's driver cannot be imported: {error}",
            hint="pip install 'modelhub[postgres]'",
        ) from error
    with app.progress() as listener:
        done = migrate_to(url, config=app.config, listener=listener, cancel=app.cancel)
    if as_json:
        print_json(_document(done))
        return
    columns: list[Column[CopiedTable]] = [
        Column("Table", lambda one: one.name),
        Column("Rows", lambda one: one.rows, lambda rows: f"{rows:,}", right=True),
        Column("Digest", lambda one: one.digest),
    ]
    print_table(columns, done.tables)
    app.echo(
        f"{plural(done.rows, 'row')} copied and compared; {plural(done.listed, 'file')} listed anew"
    )
    if not done.jobs_moved:
        app.echo("no jobs were moved: there are none, or jobs.database_url names their place")
    app.say(f"{done.source} is as it was. To use the library where it is now, write:")
    app.echo(f'[catalog]\ndatabase_url = "{done.database}"', lines=True)
    if done.without_password:
        app.say("a password goes into ~/.pgpass or PGPASSWORD, and not into that line")


def _document(done: Migration) -> dict[str, Any]:
    return {
        "source": str(done.source),
        "database_url": done.database,
        "tables": [
            {"name": one.name, "rows": one.rows, "digest": one.digest} for one in done.tables
        ],
        "rows": done.rows,
        "listed": done.listed,
        "jobs_moved": done.jobs_moved,
    }

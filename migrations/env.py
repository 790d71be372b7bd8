"""How Alembic reaches the catalog: on the connection that the program hands over.

Writing a new revision: change ``modelhub/catalog/tables.py``, add a script beside ``0001``, add its
number to ``modelhub/catalog/revision.py``; ``tests/catalog/test_migrations.py`` says whether the
three agree.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from modelhub.catalog.schema import belongs
from modelhub.catalog.tables import metadata


def run() -> None:
    """Run the scripts inside the transaction of the connection."""
    connection = context.config.attributes.get("connection")
    if not isinstance(connection, Connection):
        raise RuntimeError("the catalog is upgraded by modelhub itself, by opening it")
    backend = connection.dialect.name
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=lambda item, name, kind, reflected, other: belongs(
            item, name, kind, backend
        ),
        compare_type=True,
        render_as_batch=backend == "sqlite",
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()

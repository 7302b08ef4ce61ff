"""The catalogue: what is in the store, which views there are, and what was noted on sortings.

SQL by SQLAlchemy Core; SQLite beside the objects by default, another database by its URL.
A change is one transaction, `Catalogue.write`; who compares before he writes reads in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import alembic.script
import alembic.util
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from spikewire.core.errors import StoreUnwritableError
from spikewire_server.library.entry import Origin

METADATA = sa.MetaData()

# Names are compared and sorted by their bytes, whatever the database's language is.
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

SORTINGS = sa.Table(
    "sortings",
    METADATA,
    sa.Column("name", _TEXT, primary_key=True),
    sa.Column("origin", _TEXT, nullable=False),
    sa.Column("class_name", _TEXT, nullable=False),
    sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
    # Of the store only; the object's folder has this name.
    sa.Column("object_id", _TEXT, unique=True),
    # Of what is being recorded, and of what was.
    sa.Column("acquisition_id", _TEXT),
    sa.Column("revision", _TEXT),
    sa.Column("sampling_frequency", sa.Double),
    sa.Column("unit_ids", sa.LargeBinary),  # a serialized spikewire.v1.UnitIds
    sa.Column("t_starts", sa.JSON),  # a number or null for each segment
    sa.Column("unit_count", sa.BigInteger),
    sa.Column("spike_count", sa.BigInteger),
    # Of views only: a serialized spikewire.v1.DumpDict.
    sa.Column("dump", sa.LargeBinary),
    # Of the store only, where segments have sync points: a serialized spikewire.v1.Sorting of
    # which only the clocks of the segments count.
    sa.Column("clocks", sa.LargeBinary),
)

NOTES = sa.Table(
    "notes",
    METADATA,
    sa.Column("name", _TEXT, primary_key=True),
    sa.Column("kind", _TEXT, primary_key=True),
    sa.Column("key", _TEXT, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("etag", _TEXT, nullable=False),
    # A serialized spikewire.v1.Array or Value; NULL hides what the files have.
    sa.Column("value", sa.LargeBinary),
    # Of properties only: what describes the values without reading them.
    sa.Column("type", sa.LargeBinary),  # a serialized spikewire.v1.ArrayType
    sa.Column("shape", sa.JSON),
    # The serialized spikewire.v1.UnitIds that a property's values belong to.
    sa.Column("unit_ids", sa.LargeBinary),
)


@dataclass(frozen=True, kw_only=True)
class SortingRow:
    """A sorting of the store, or a view."""

    name: str
    origin: Origin
    class_name: str
    update_time: datetime
    object_id: str | None = None
    acquisition_id: str | None = None
    revision: str | None = None
    sampling_frequency: float | None = None
    unit_ids: bytes | None = None
    t_starts: list[float | None] | None = None
    unit_count: int | None = None
    spike_count: int | None = None
    dump: bytes | None = None
    clocks: bytes | None = None


class Catalogue:
    """A database with its tables made or brought up to date.

    Parameters
    ----------
    url : sqlalchemy.URL or str
        Where it is.

    Raises
    ------
    StoreUnwritableError
        If it cannot be opened, or was written by a newer release.
    """

    def __init__(self, url: URL | str) -> None:
        self._engine = _create_engine(url)
        self._on_change: list[Callable[[], None]] = []
        try:
            self._migrate()
        except BaseException:
            self._engine.dispose()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection that sees one state of the database."""
        with self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that no other change comes between; committed at the end.

        Raises
        ------
        StoreUnwritableError
            If the database cannot be written: a full disk, for example.
        """
        try:
            with self._engine.connect() as connection:
                writing = connection.execution_options(spikewire_write=True)
                with writing.begin():
                    yield writing
                for changed in self._on_change:
                    changed()
        except (sa.exc.OperationalError, sa.exc.InternalError) as error:
            raise StoreUnwritableError(f"the catalogue cannot be written: {error.orig}") from error

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call a function after every transaction that was committed."""
        self._on_change.append(changed)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _migrate(self) -> None:
        with resources.as_file(resources.files(__package__) / "migrations") as folder:
            config = alembic.config.Config()
            config.set_main_option("script_location", str(folder).replace("%", "%%"))
            try:
                with self.write() as connection:
                    config.attributes["connection"] = connection
                    alembic.command.upgrade(config, "head")
            except alembic.util.CommandError as error:
                raise StoreUnwritableError(
                    f"the catalogue was written by a newer release of spikewire ({error})"
                ) from error
            except sa.exc.DatabaseError as error:
                raise StoreUnwritableError(f"the catalogue is damaged: {error.orig}") from error


def sqlite_url(path: Path) -> URL:
    """Return the URL of a SQLite catalogue in this file."""
    return URL.create("sqlite", database=str(path))


def find(connection: Connection, name: str) -> SortingRow | None:
    """Return the row of a name; inside `Catalogue.write` it is then the caller's to change."""
    query = sa.select(SORTINGS).where(SORTINGS.c.name == name)
    if connection.get_execution_options().get("spikewire_write", False):
        query = query.with_for_update()
    row = connection.execute(query).one_or_none()
    return None if row is None else _sorting_row(row)


def page(connection: Connection, prefix: str, after: str, limit: int) -> list[SortingRow]:
    """Return up to `limit` rows with names that begin with `prefix` and follow `after`."""
    query = (
        sa.select(SORTINGS)
        .where(SORTINGS.c.name > after, SORTINGS.c.name >= prefix)
        .order_by(SORTINGS.c.name)
        .limit(limit)
    )
    rows = [_sorting_row(row) for row in connection.execute(query)]
    return [row for row in rows if row.name.startswith(prefix)]


def put(connection: Connection, row: SortingRow) -> None:
    """Write a row in place of the one of the same name; notes on that name go."""
    remove(connection, row.name)
    connection.execute(sa.insert(SORTINGS).values({**vars(row), "origin": row.origin.value}))


def replace(connection: Connection, row: SortingRow) -> None:
    """Write a row in place of the one of the same name; notes on that name stay."""
    values = {**vars(row), "origin": row.origin.value}
    connection.execute(sa.update(SORTINGS).where(SORTINGS.c.name == row.name).values(values))


def recordings(connection: Connection) -> list[SortingRow]:
    """Return the rows of what is being recorded."""
    query = sa.select(SORTINGS).where(SORTINGS.c.origin == Origin.ACQUISITION.value)
    return [_sorting_row(row) for row in connection.execute(query)]


def remove(connection: Connection, name: str) -> None:
    """Remove the row of a name and the notes on it."""
    connection.execute(sa.delete(SORTINGS).where(SORTINGS.c.name == name))
    connection.execute(sa.delete(NOTES).where(NOTES.c.name == name))


def object_ids(connection: Connection) -> set[str]:
    """Return the ids of all objects that a name has."""
    query = sa.select(SORTINGS.c.object_id).where(SORTINGS.c.object_id.is_not(None))
    return set(connection.execute(query).scalars())


def _sorting_row(row: sa.Row[Any]) -> SortingRow:
    values = dict(row._mapping)
    values["origin"] = Origin(values["origin"])
    if values["update_time"].tzinfo is None:  # SQLite keeps no time zone
        values["update_time"] = values["update_time"].replace(tzinfo=UTC)
    return SortingRow(**values)


def _create_engine(url: URL | str) -> Engine:
    # Who waits for the database must not wait for a connection too: whoever has the lock may
    # need a second one.
    engine = sa.create_engine(url, max_overflow=-1)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _set_up_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is not asked for
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and then writes must have the lock from its beginning,
    # or SQLite refuses the write when somebody else wrote in between.
    writes = connection.get_execution_options().get("spikewire_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from spikewire.core.errors import StoreUnwritableError
from spikewire_server.library import catalogue as tables
from spikewire_server.library.catalogue import Catalogue, SortingRow, sqlite_url
from spikewire_server.library.entry import Origin


@pytest.fixture
def catalogue(tmp_path):
    catalogue = Catalogue(sqlite_url(tmp_path / "a %20b.sqlite"))
    yield catalogue
    catalogue.close()


def row(name, **values):
    defaults = {"origin": Origin.STORE, "class_name": "X", "update_time": datetime.now(UTC)}
    return SortingRow(name=name, **(defaults | values))


def put(catalogue, *rows):
    with catalogue.write() as connection:
        for item in rows:
            tables.put(connection, item)


def test_migrations_make_exactly_the_tables(catalogue):
    with catalogue.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.METADATA) == []
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_rows_come_back_after_a_restart(tmp_path):
    first = row(
        "a/b",
        object_id="1",
        revision="r",
        sampling_frequency=30000.0,
        unit_ids=b"\0\1",
        t_starts=[None, 1.5],
        unit_count=2,
        spike_count=2**40,
    )
    for _ in range(2):
        catalogue = Catalogue(sqlite_url(tmp_path / "c.sqlite"))
        with catalogue.write() as connection:
            if tables.find(connection, "a/b") is None:
                tables.put(connection, first)
        catalogue.close()
    catalogue = Catalogue(sqlite_url(tmp_path / "c.sqlite"))
    with catalogue.read() as connection:
        assert tables.find(connection, "a/b") == first
        assert tables.object_ids(connection) == {"1"}
    catalogue.close()


def test_pages_are_in_the_order_of_bytes(catalogue):
    names = sorted(["a", "a/b", "a/ü", "a/z", "a/\U0001f400", "a/\uffee", "b", "A"], key=str.encode)
    put(catalogue, *map(row, reversed(names)))
    with catalogue.read() as connection:
        found, after = [], ""
        while page := tables.page(connection, "", after, 3):
            found += [item.name for item in page]
            after = found[-1]
        assert found == names
        below = [item.name for item in tables.page(connection, "a/", "a/b", 100)]
        assert below == [name for name in names if name.startswith("a/") and name != "a/b"]


def test_a_failed_transaction_leaves_nothing(catalogue):
    put(catalogue, row("old"))

    def fail():
        with catalogue.write() as connection:
            tables.remove(connection, "old")
            tables.put(connection, row("new"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with catalogue.read() as connection:
        assert [item.name for item in tables.page(connection, "", "", 9)] == ["old"]


def test_nothing_comes_between_reading_and_writing(catalogue):
    put(catalogue, row("n", spike_count=0))

    def increment():
        for _ in range(20):
            with catalogue.write() as connection:
                count = tables.find(connection, "n").spike_count
                tables.put(connection, row("n", spike_count=count + 1))

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with catalogue.read() as connection:
        assert tables.find(connection, "n").spike_count == 80


def test_a_catalogue_of_the_future_is_refused(tmp_path):
    url = sqlite_url(tmp_path / "c.sqlite")
    Catalogue(url).close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(StoreUnwritableError, match="newer release"):
        Catalogue(url)


def test_a_damaged_catalogue_is_refused(tmp_path):
    (tmp_path / "c.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreUnwritableError, match="damaged"):
        Catalogue(sqlite_url(tmp_path / "c.sqlite"))

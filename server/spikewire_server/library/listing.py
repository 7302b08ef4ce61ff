"""Lists sortings by name: what the last scan saw, and what the catalogue has."""

from __future__ import annotations

import fnmatch
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice

from sqlalchemy.engine import Connection

from spikewire.core.errors import InvalidValueError
from spikewire_server.library.catalogue import Catalogue, SortingRow, find, page, recordings
from spikewire_server.library.describing import describe_row
from spikewire_server.library.entry import Entry, Origin
from spikewire_server.library.names import MAX_NAME_BYTES
from spikewire_server.library.recordings import Recordings
from spikewire_server.library.roots import Roots
from spikewire_server.library.view_nodes import names_as_they_are
from spikewire_server.library.views import node_of

_ROWS_AT_ONCE = 500


def list_entries(
    scanned: Sequence[Entry],
    catalogue: Catalogue,
    roots: Roots,
    recorder: Recordings,
    prefix: str,
    pattern: str,
    after: str,
    limit: int,
) -> list[Entry]:
    """Return sortings in the order of their names.

    Parameters
    ----------
    scanned : sequence of Entry
        What lies below roots, in the order of the names.
    catalogue : Catalogue
        Has the others.
    roots : Roots
        Names that belong to a root are the root's alone.
    recorder : Recordings
        Knows what was recorded until now.
    prefix : str
        What the names begin with.
    pattern : str
        A shell pattern that they match; empty for all.
    after : str
        The name that they follow.
    limit : int
        How many at most.

    Raises
    ------
    InvalidValueError
        If the pattern is longer than a name.
    """
    if len(pattern) > MAX_NAME_BYTES:
        raise InvalidValueError(f"a pattern has at most {MAX_NAME_BYTES} characters")
    matches = re.compile(fnmatch.translate(pattern or "*")).match
    # Names in the order of their code points are in the order of their UTF-8 bytes too.
    named = merge(
        _scanned(scanned, prefix, after),
        _catalogued(catalogue, roots, recorder, prefix, after),
        key=lambda entry: entry.name,
    )
    return list(islice((entry for entry in named if matches(entry.name)), limit))


def _scanned(entries: Sequence[Entry], prefix: str, after: str) -> Iterator[Entry]:
    start = max(
        bisect_left(entries, prefix, key=lambda entry: entry.name),
        bisect_right(entries, after, key=lambda entry: entry.name),
    )
    for position in range(start, len(entries)):
        if not entries[position].name.startswith(prefix):
            return
        yield entries[position]


def _catalogued(
    catalogue: Catalogue, roots: Roots, recorder: Recordings, prefix: str, after: str
) -> Iterator[Entry]:
    while True:
        with catalogue.read() as connection:
            rows = page(connection, prefix, after, _ROWS_AT_ONCE)
            goes_on = _recording_among(connection, rows)
        for row in rows:
            if roots.root_of(row.name) is None:
                recorded = recorder.facts(row.acquisition_id or "") if goes_on[row.name] else None
                yield describe_row(row, goes_on[row.name], recorded)
        if len(rows) < _ROWS_AT_ONCE:
            return
        after = rows[-1].name


def _recording_among(connection: Connection, rows: Sequence[SortingRow]) -> Mapping[str, bool]:
    """Return of some rows whether they are recorded, or are views of what is, by name."""
    known = {row.name: True for row in recordings(connection)}
    if not known:
        return dict.fromkeys((row.name for row in rows), False)

    def goes_on(name: str, row: SortingRow | None) -> bool:
        if name not in known:
            known[name] = False  # also for a view that was made one of itself
            if row is not None and row.origin is Origin.VIEW:
                parents = names_as_they_are(node_of(row))
                known[name] = any(goes_on(parent, find(connection, parent)) for parent in parents)
        return known[name]

    return {row.name: goes_on(row.name, row) for row in rows}

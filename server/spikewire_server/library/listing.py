"""Lists sortings by name: what the last scan saw, and what the catalogue has."""

from __future__ import annotations

import fnmatch
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice

from spikewire.core.errors import InvalidValueError
from spikewire_server.library.catalogue import Catalogue, page
from spikewire_server.library.describing import describe_row
from spikewire_server.library.entry import Entry
from spikewire_server.library.names import MAX_NAME_BYTES
from spikewire_server.library.roots import Roots

_ROWS_AT_ONCE = 500


def list_entries(
    scanned: Sequence[Entry],
    catalogue: Catalogue,
    roots: Roots,
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
        _catalogued(catalogue, roots, prefix, after),
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


def _catalogued(catalogue: Catalogue, roots: Roots, prefix: str, after: str) -> Iterator[Entry]:
    while True:
        with catalogue.read() as connection:
            rows = page(connection, prefix, after, _ROWS_AT_ONCE)
        for row in rows:
            if roots.root_of(row.name) is None:
                yield describe_row(row)
        if len(rows) < _ROWS_AT_ONCE:
            return
        after = rows[-1].name

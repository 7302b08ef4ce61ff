"""Reads a log that nobody may have closed, and tells a torn end from damage.

A crash leaves anything in place of the group of records that was being written:
part of it, zeros, its end without its beginning. All before it was on disk, and
every record says where its group began. So what does not read well was never
acknowledged, unless a later record was written when it was on disk already.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from spikewire.core.errors import FormatError
from spikewire_server.acquisition.record import (
    HEADER_BYTES,
    MAGIC,
    NUMBERED,
    Header,
    Kind,
    unpack_header,
)

_SEARCH_BYTES = 1024 * 1024


class Found(NamedTuple):
    """A record that was read."""

    header: Header
    offset: int
    """Where its payload begins."""
    payload: bytes


def read_records(
    file: BinaryIO, acquisition_id: str, sequence: int = 1, first_spike: int = 0, offset: int = 0
) -> Iterator[Found]:
    """Yield the records of a log up to its torn end.

    Parameters
    ----------
    file : binary file
        The log.
    acquisition_id : str
        For the error's message.
    sequence, first_spike, offset : int
        Where to begin: at the record of this sequence, with so many spikes and bytes before it.

    Raises
    ------
    FormatError
        If a record that was acknowledged is damaged.
    """
    file.seek(offset)
    while True:
        header = unpack_header(file.read(HEADER_BYTES))
        payload = file.read(header.payload_bytes) if header is not None else b""
        if header is None or not _is_next(header, payload, sequence, first_spike, offset):
            break
        offset += HEADER_BYTES
        yield Found(header, offset, payload)
        offset += header.payload_bytes
        if header.record.kind in NUMBERED:
            sequence += 1
            first_spike += header.record.spike_count
    if _was_acknowledged(file, offset, sequence):
        raise FormatError(
            f"the log of the acquisition {acquisition_id} is damaged at byte {offset}: the record "
            f"{sequence}, which was acknowledged, cannot be read. The records before it can be "
            f"saved by cutting the file there"
        )


def _is_next(header: Header, payload: bytes, sequence: int, first_spike: int, offset: int) -> bool:
    record = header.record
    return (
        (record.sequence, record.first_spike_index) == (sequence, first_spike)
        and (record.kind is Kind.STARTED) == (offset == 0)
        and len(payload) == header.payload_bytes
        and zlib.crc32(payload, record.kind) == record.crc
    )


def _was_acknowledged(file: BinaryIO, offset: int, sequence: int) -> bool:
    """Return whether a record behind `offset` was written when `sequence` was on disk."""
    overlap = HEADER_BYTES - 1
    while True:
        file.seek(offset)
        data = file.read(_SEARCH_BYTES + overlap)
        position = data.find(MAGIC)
        while 0 <= position < _SEARCH_BYTES:
            header = unpack_header(memoryview(data)[position : position + HEADER_BYTES])
            if header is not None and header.group_sequence > sequence:
                return True
            position = data.find(MAGIC, position + 1)
        if len(data) <= overlap:
            return False
        offset += _SEARCH_BYTES

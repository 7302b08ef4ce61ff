"""Spools that were left behind: removed once the server has everything that is in them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from spikewire.core.errors import SpikewireError
from spikewire.remote.calls import call
from spikewire.remote.channel import Connection
from spikewire.remote.live.spool import LABEL, Spool
from spikewire.remote.methods import GET_ACQUISITION
from spikewire.remote.target import Target
from spikewire.v1 import acquisition_service_pb2 as pb

log = logging.getLogger(__name__)


def label_spool(folder: Path, target: Target, name: str) -> None:
    """Note beside a spool what it belongs to."""
    with suppress(OSError):  # of a disk without room
        (folder / LABEL).write_text(f"{target}\n{name}\n", encoding="utf-8")


def remove_old_spools(connection: Connection, spools: Path, max_bytes: int) -> None:
    """Remove the spools whose acquisitions are finished, if the server has all their records.

    One that holds spikes which the server never took is the only place where they are: it
    stays, also if the server no longer knows the acquisition.
    """
    for folder, name in _labelled(connection.target, spools):
        try:
            request = pb.GetAcquisitionRequest(name=name)
            acquisition = connection.run(call(GET_ACQUISITION, request)).acquisition
            if acquisition.finished and acquisition.acquisition_id == folder.name:
                _remove(folder, max_bytes, acquisition.next_sequence)
        except (SpikewireError, OSError) as error:
            log.debug("the spool %s is kept: %s", folder, error)


def _remove(folder: Path, max_bytes: int, next_sequence: int) -> None:
    spool = Spool(folder, max_bytes)  # not while somebody goes on with it
    if spool.next_sequence <= next_sequence:
        spool.remove()
    else:
        spool.close()
        log.warning("the spool %s holds records that came too late for the server", folder)


def _labelled(target: Target, spools: Path) -> Iterator[tuple[Path, str]]:
    for label in spools.glob(f"*/{LABEL}"):
        with suppress(OSError, ValueError):
            where, name = label.read_text(encoding="utf-8").splitlines()
            if where == str(target):
                yield label.parent, name

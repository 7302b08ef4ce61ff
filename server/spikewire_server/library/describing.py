"""Describes sortings: from their files, or from what the catalogue has."""

from __future__ import annotations

from dataclasses import replace

from spikewire.core.errors import ContentChangedError, NeedsSamplingFrequencyError, SpikewireError
from spikewire_server.library.catalogue import SortingRow
from spikewire_server.library.entry import Entry, Origin, State
from spikewire_server.library.facts import Facts, Source
from spikewire_server.library.opener import Opener


def describe(opener: Opener, source: Source) -> Entry:
    """Return a description of a sorting as it is now, whether or not it can be read.

    Raises
    ------
    ContentChangedError
        If its files change at this moment.
    """
    unread = Entry(name=source.name, origin=source.origin, class_name=source.class_name)
    try:
        opened = opener.open_source(source)
    except NeedsSamplingFrequencyError as error:
        return replace(unread, state=State.NEEDS_SAMPLING_FREQUENCY, state_detail=str(error))
    except SpikewireError as error:
        if isinstance(error, ContentChangedError) and source.origin is not Origin.VIEW:
            raise
        return replace(unread, state=State.BROKEN, state_detail=str(error))
    facts = opened.facts
    return replace(
        unread,
        state=State.RECORDING if opened.look.is_recording else State.READY,
        class_name=facts.class_name,
        revision=facts.revision,
        sampling_frequency=facts.sampling_frequency,
        unit_ids=facts.unit_ids,
        t_starts=facts.t_starts,
        clocks=facts.clocks,
        unit_count=len(facts.unit_ids),
        segment_count=len(facts.t_starts),
        spike_count=facts.spike_count,
        properties=tuple(opened.overlay.properties()),
        annotations=tuple(opened.overlay.annotation_infos()),
        update_time=opened.look.update_time,
    )


def for_listing(entry: Entry) -> Entry:
    """Return a description without what listings leave out."""
    return replace(
        entry,
        revision="",
        unit_ids=None,
        t_starts=None,
        clocks=(),
        properties=(),
        annotations=(),
    )


def describe_row(row: SortingRow, is_recording: bool, recorded: Facts | None) -> Entry:
    """Return what a listing tells of a sorting in the catalogue.

    Parameters
    ----------
    row : SortingRow
        What the catalogue has.
    is_recording : bool
        Whether it is recorded, or shows what is.
    recorded : Facts or None
        What was recorded until now, where that is known.
    """
    entry = Entry(
        name=row.name,
        origin=row.origin,
        state=State.RECORDING if is_recording else State.READY,
        class_name=row.class_name,
        sampling_frequency=row.sampling_frequency,
        unit_count=row.unit_count,
        segment_count=None if row.t_starts is None else len(row.t_starts),
        spike_count=row.spike_count,
        update_time=row.update_time,
    )
    if recorded is None:
        return entry
    return replace(
        entry,
        unit_count=len(recorded.unit_ids),
        segment_count=len(recorded.t_starts),
        spike_count=recorded.spike_count,
    )

"""Any sorting -> the messages of an upload."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from spikewire.core.errors import ContentChangedError
from spikewire.core.sorting import BaseSorting
from spikewire.remote.progress import progress_bar
from spikewire.v1 import sorting_service_pb2 as pb
from spikewire.wire.chunks import encode_spikes
from spikewire.wire.clocks import segments_to_proto
from spikewire.wire.properties import property_to_slices
from spikewire.wire.unit_ids import unit_ids_to_proto
from spikewire.wire.values import entries_to_proto

Progress = Callable[[int, int], object]


def upload_requests(
    sorting: BaseSorting, name: str, if_revision: str, progress: Progress | None, bar: bool
) -> Iterator[pb.UploadSortingRequest]:
    """Yield the header, the properties and the spikes, a segment at a time.

    Parameters
    ----------
    sorting : BaseSorting
        What to send.
    name, if_revision : str
        The name that it shall have, and the revision that it may replace.
    progress : callable, optional
        Called with the spikes that were sent and those there are.
    bar : bool
        Whether a progress bar may be drawn instead.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        A property or annotation cannot be sent.
    ContentChangedError
        There are more or fewer spikes than when they were counted.
    """
    segments = range(sorting.get_num_segments())
    counts = [int(sorting._count_spikes(segment).sum()) for segment in segments]
    header = pb.UploadHeader(
        name=name,
        if_revision=if_revision,
        sampling_frequency_hz=sorting.sampling_frequency,
        unit_ids=unit_ids_to_proto(sorting.unit_ids),
        segments=segments_to_proto(
            (segment._t_start for segment in sorting.segments),
            (segment._clocks for segment in sorting.segments),
        ),
        spike_counts=counts,
        annotations=entries_to_proto(
            {key: sorting.get_annotation(key) for key in sorting.get_annotation_keys()}
        ),
    )
    yield pb.UploadSortingRequest(header=header)

    for key in sorting.get_property_keys():
        for piece in property_to_slices(key, sorting._properties[key]):
            yield pb.UploadSortingRequest(properties=[piece])

    sent = 0
    with closing(progress_bar(sum(counts), name, bar and progress is None)) as drawn:
        for segment in segments:
            samples, unit_indices = sorting.to_spike_columns(segment)
            if len(samples) != counts[segment]:
                raise ContentChangedError(
                    f"segment {segment} had {counts[segment]} spikes, and has {len(samples)} now"
                )
            for chunk in encode_spikes(samples, unit_indices, segment):
                yield pb.UploadSortingRequest(chunks=[chunk])
                sent += chunk.spike_count
                drawn.update(chunk.spike_count)
                if progress is not None:
                    progress(sent, sum(counts))

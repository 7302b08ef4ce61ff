"""The index: a sorting's spikes on disk in both orders, ready to be sent.

One folder a revision, made whole before it is seen, never changed after:

``index.json``
    What the folder holds, and a checksum of the tables.
``segment<k>.spikes``
    The spikes in time order: SpikeChunks as they lie in a
    ``StreamSpikesResponse`` (tag, length, chunk), so any run of them is already
    a message.
``segment<k>.trains``
    The samples unit by unit, at 4 or 8 bytes, less the first sample.
``segment<k>.packed``
    The same trains packed: TrainChunks as they lie in a
    ``GetUnitSpikeTrainsResponse``.
``segment<k>.chunks``, ``segment<k>.packs``, ``segment<k>.counts``, ``segment<k>.sums``
    The tables: where each chunk, and each pack of trains, lies and what it
    spans; how many spikes each unit has; a checksum for each block of the trains.
"""

from spikewire_server.library.index.build import build_index
from spikewire_server.library.index.keeper import IndexKeeper
from spikewire_server.library.index.read import Index, SegmentIndex
from spikewire_server.library.index.records import DamagedIndexError

__all__ = ["DamagedIndexError", "Index", "IndexKeeper", "SegmentIndex", "build_index"]

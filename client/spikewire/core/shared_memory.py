"""Sortings whose spikes lie in memory that several processes map."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from multiprocessing.shared_memory import SharedMemory
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from spikewire.core.dtypes import SPIKE_DTYPE, AnyArray, UnitId, read_only
from spikewire.core.errors import ContractError, InvalidValueError, SortingNotFoundError
from spikewire.core.metadata import copy_all_metadata
from spikewire.core.registry import register_class
from spikewire.core.segment import SpikeVectorSortingSegment
from spikewire.core.sorting import BaseSorting
from spikewire.core.spike_vector import check_spike_vector


class SharedMemorySorting(BaseSorting):
    """A sorting around a spike vector in shared memory; `from_sorting` makes one.

    Parameters
    ----------
    shm_name : str
        The name of the shared memory.
    shape : tuple of int
        The number of spikes, at least 1.
    sampling_frequency : float
    unit_ids : sequence
    dtype : dtype, optional
        Of the spike vector.
    main_shm_owner : bool, default: True
        Whether the memory goes when this object does. Unpickled copies never own it.
    num_segments : int, optional
        By default up to the last segment that has spikes.
    """

    _dump_class = "spikeinterface.core.numpyextractors.SharedMemorySorting"
    _serializability: ClassVar[dict[str, bool]] = {"memory": True, "json": False, "pickle": False}
    _reads_before_caching = 0
    _is_reopened_cheaply = True

    def __init__(
        self,
        shm_name: str,
        shape: Sequence[int],
        sampling_frequency: float,
        unit_ids: Sequence[UnitId] | AnyArray,
        dtype: DTypeLike = SPIKE_DTYPE,
        main_shm_owner: bool = True,
        num_segments: int | None = None,
    ) -> None:
        self.main_shm_owner = False
        super().__init__(sampling_frequency, unit_ids)
        if len(shape) != 1 or shape[0] < 1:
            raise ContractError(f"shared memory holds at least one spike, not shape {shape}")
        try:
            self.shm = SharedMemory(shm_name, create=False)
        except FileNotFoundError as error:
            raise SortingNotFoundError(f"there is no shared memory {shm_name!r}") from error
        if np.dtype(dtype).itemsize * shape[0] > self.shm.size:
            raise InvalidValueError(f"shared memory {shm_name!r} is smaller than {shape} spikes")
        spikes = np.ndarray(tuple(shape), dtype=dtype, buffer=self.shm.buf)
        check_spike_vector(spikes, self.get_num_units())
        self.shm_spikes = read_only(spikes)
        used = int(spikes["segment_index"][-1]) + 1
        for index in range(max(used, num_segments or 0)):
            self.add_sorting_segment(SpikeVectorSortingSegment(self.shm_spikes, index))
        self._vector = self.shm_spikes
        self.main_shm_owner = main_shm_owner
        self._kwargs = {
            "shm_name": shm_name,
            "shape": tuple(shape),
            "sampling_frequency": self._sampling_frequency,
            "unit_ids": self.unit_ids,
            "dtype": np.dtype(dtype),
            "main_shm_owner": False,
        }
        if self.get_num_segments() != used:
            self._kwargs["num_segments"] = self.get_num_segments()

    @classmethod
    def _kwargs_of_dump(cls, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {**kwargs, "main_shm_owner": False}  # no dump may take memory away from its owner

    def __del__(self) -> None:
        """Let go of the memory, and remove it if it is ours."""
        if hasattr(self, "shm"):
            self._forget_spikes()
            self._segments.clear()
            self._kwargs.clear()
            vars(self).pop("shm_spikes", None)
            release(self.shm, self.main_shm_owner)

    @staticmethod
    def from_sorting(
        source_sorting: BaseSorting, with_metadata: bool = False
    ) -> SharedMemorySorting:
        """The spikes of another sorting, copied to shared memory.

        Parameters
        ----------
        source_sorting : BaseSorting
        with_metadata : bool, default: False
            Copy properties and annotations too.

        Raises
        ------
        InvalidValueError
            If the sorting has no spikes: shared memory cannot be empty.
        """
        spikes = source_sorting.to_spike_vector()
        if len(spikes) == 0:
            raise InvalidValueError("a sorting without spikes cannot be put into shared memory")
        shm = SharedMemory(create=True, size=spikes.nbytes)
        np.ndarray(spikes.shape, spikes.dtype, buffer=shm.buf)[:] = spikes
        sorting = SharedMemorySorting(
            shm.name,
            spikes.shape,
            source_sorting.get_sampling_frequency(),
            source_sorting.unit_ids,
            dtype=spikes.dtype,
            num_segments=source_sorting.get_num_segments(),
        )
        shm.close()
        for source, target in zip(source_sorting.segments, sorting.segments, strict=True):
            target._take_times_of(source)
        if with_metadata:
            copy_all_metadata(source_sorting, sorting)
        return sorting


def release(shm: SharedMemory, remove: bool) -> None:
    """Unmap shared memory, and remove it if asked."""
    if remove:
        shm.unlink()
    # While an array that was handed out lies in it, the mapping stays; it goes with that array.
    with contextlib.suppress(BufferError):
        shm.close()


register_class(SharedMemorySorting._dump_class, SharedMemorySorting)

"""What every sorting has to answer: the reading half of the contract."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from spikewire.core.dtypes import SPIKE_DTYPE, IntArray
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.sorting import BaseSorting
from spikewire.testing.truths import TRUTHS, WINDOWS, inside, make_truth, train_of, trains_of


class ReadingContract:
    """The tests of `SortingContract` that only read."""

    #: Which of the awkward sortings are tried.
    truth_names: ClassVar[tuple[str, ...]] = tuple(TRUTHS)
    #: Whether spikes of the same sample keep their order.
    keeps_tie_order: ClassVar[bool] = True
    #: Whether `make_sorting` carries properties and annotations over.
    keeps_metadata: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "truth") or "truth_names" in vars(cls):
            fixture = pytest.fixture(params=cls.truth_names)(_truth)
            cls.truth = fixture  # type: ignore[attr-defined]

    def make_sorting(self, truth: NumpySorting, folder: Path) -> BaseSorting:
        """A new sorting with the spikes of `truth`; `folder` is empty and its own."""
        raise NotImplementedError

    @pytest.fixture
    def sorting(self, truth: NumpySorting, tmp_path: Path) -> BaseSorting:
        """The sorting that is tried."""
        folder = tmp_path / "made"
        folder.mkdir()
        return self.make_sorting(truth, folder)

    # -- shape --------------------------------------------------------------------------

    def test_shape(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """Ids, sampling frequency and segments are the truth's, in SpikeInterface's types."""
        assert isinstance(sorting, BaseSorting)
        assert sorting.unit_ids.tolist() == truth.unit_ids.tolist()
        assert sorting.unit_ids.dtype.kind in "iuUS"
        assert sorting.get_num_units() == len(truth.unit_ids) == len(sorting.get_unit_ids())
        assert type(sorting.sampling_frequency) is float
        assert sorting.get_sampling_frequency() == truth.sampling_frequency
        assert sorting.get_num_segments() == truth.get_num_segments() == len(sorting.segments)
        units = f"{truth.get_num_units()} units - {truth.get_num_segments()} segments - 30.0kHz"
        assert units in repr(sorting)
        assert "<details" in sorting._repr_html_()

    def test_ids(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """Ids become positions; what is no id is a ValueError."""
        ids = truth.unit_ids.tolist()
        assert [sorting.id_to_index(unit_id) for unit_id in ids] == list(range(len(ids)))
        backwards = sorting.ids_to_indices(ids[::-1])
        assert isinstance(backwards, np.ndarray)
        assert backwards.dtype == np.int64
        assert backwards.tolist() == list(range(len(ids)))[::-1]
        assert sorting.ids_to_indices(prefer_slice=True) == slice(None)
        for unknown in (-1, "no such unit", 10.5, None):
            with pytest.raises(ValueError, match="unit"):
                sorting.id_to_index(unknown)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="unit"):
                sorting.ids_to_indices([unknown])

    # -- trains -------------------------------------------------------------------------

    @pytest.mark.parametrize("use_cache", [True, False])
    def test_trains(self, sorting: BaseSorting, truth: NumpySorting, use_cache: bool) -> None:
        """Each train is int64, ascending, read-only, with or without caches."""
        for unit, segment, expected in trains_of(truth):
            train = sorting.get_unit_spike_train(unit, segment, use_cache=use_cache)
            _is_train(train, expected)

    def test_windows(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """Windows are half-open and take any numbers."""
        for unit, segment, whole in _few(trains_of(truth)):
            for start, end in WINDOWS:
                expected = whole[inside(whole, start, end)]
                for use_cache in (False, True):
                    train = sorting.get_unit_spike_train(
                        unit, segment, start, end, use_cache=use_cache
                    )
                    _is_train(train, expected)

    def test_many_trains_at_once(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """A batch gives what single calls give, in the order asked for."""
        ids = truth.unit_ids.tolist()
        for segment in range(truth.get_num_segments()):
            trains = sorting.get_unit_spike_trains(segment_index=segment)
            assert list(trains) == ids
            for unit in ids:
                _is_train(trains[unit], train_of(truth, unit, segment))
            for start, end in WINDOWS:
                some = sorting.get_unit_spike_trains(ids[:0:-2], segment, start, end)
                assert list(some) == ids[:0:-2]
                for unit, train in some.items():
                    whole = train_of(truth, unit, segment)
                    _is_train(train, whole[inside(whole, start, end)])

    def test_seconds(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """Seconds are the start time plus frames over sampling frequency."""
        for unit, segment, train in _few(trains_of(truth)):
            expected = train / 30000.0 + sorting.get_start_time(segment)
            seconds = sorting.get_unit_spike_train(unit, segment, return_times=True)
            assert seconds.dtype == np.float64
            np.testing.assert_allclose(seconds, expected, rtol=1e-12, atol=1e-6)
            same = sorting.get_unit_spike_train_in_seconds(unit, segment)
            np.testing.assert_array_equal(seconds, same)
            batch = sorting.get_unit_spike_trains([unit], segment, return_times=True)
            np.testing.assert_array_equal(seconds, batch[unit])

    def test_what_cannot_be_asked(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """Mistakes raise what SpikeInterface raises."""
        with pytest.raises(IndexError):
            sorting.get_unit_spike_train(0, truth.get_num_segments())
        with pytest.raises(ValueError, match="unit"):
            sorting.get_unit_spike_train("no such unit", 0)
        with pytest.raises(ValueError, match="unit"):
            sorting.get_unit_spike_trains(["no such unit"], 0)
        with pytest.raises(TypeError):
            sorting.get_unit_spike_trains(None, "0")  # type: ignore[arg-type]
        if truth.get_num_segments() > 1:
            with pytest.raises(ValueError, match="segment_index"):
                sorting.get_unit_spike_trains()
        for bad in (float("nan"), "12", [1], 1j):
            for bounds in ((bad, None), (None, bad)):
                with pytest.raises(TypeError, match="must be a number"):
                    sorting.get_unit_spike_trains(None, 0, *bounds)

    def test_threads_see_the_same(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """Reads from several threads do not disturb each other."""
        wanted = list(_few(trains_of(truth)))
        with ThreadPoolExecutor(4) as pool:
            read = pool.map(lambda w: sorting.get_unit_spike_train(w[0], w[1]), wanted * 3)
            for train, (_, _, expected) in zip(read, wanted * 3, strict=True):
                _is_train(train, expected)

    # -- all units together -------------------------------------------------------------

    def test_spike_vector(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """The spike vector has every spike, in the truth's order, read-only."""
        spikes, slices = sorting.to_spike_vector(return_slices=True)
        assert spikes.dtype == SPIKE_DTYPE
        assert not spikes.flags.writeable
        np.testing.assert_array_equal(self._order(spikes), self._order(truth.to_spike_vector()))
        assert slices.shape == (truth.get_num_segments(), 2)
        parts = sorting.to_spike_vector(concatenated=False)
        assert [len(part) for part in parts] == (slices[:, 1] - slices[:, 0]).tolist()
        np.testing.assert_array_equal(np.concatenate(parts), spikes)
        channels = np.arange(truth.get_num_units()) + 10
        with_channels = sorting.to_spike_vector(main_channel_indices=channels)
        np.testing.assert_array_equal(with_channels["channel_index"], spikes["unit_index"] + 10)

    def _order(self, spikes: Any) -> Any:
        """The spikes as they are, or ties in unit order if their order is not kept."""
        if self.keeps_tie_order:
            return spikes
        return spikes[
            np.lexsort((spikes["unit_index"], spikes["sample_index"], spikes["segment_index"]))
        ]

    def test_spike_columns(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """Columns are those of the vector, in any window."""
        vector = self._order(truth.to_spike_vector())
        for segment in range(truth.get_num_segments()):
            spikes = vector[vector["segment_index"] == segment]
            for start, end in WINDOWS:
                samples, units = sorting.to_spike_columns(segment, start, end)
                expected = spikes[inside(spikes["sample_index"], start, end)]
                assert samples.dtype == units.dtype == np.int64
                assert not samples.flags.writeable
                assert not units.flags.writeable
                np.testing.assert_array_equal(samples, expected["sample_index"])
                if self.keeps_tie_order:
                    np.testing.assert_array_equal(units, expected["unit_index"])

    def test_reordered_vectors(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """The reordered vector, its order and its slices fit the vector."""
        spikes, order, slices = sorting.to_reordered_spike_vector()
        np.testing.assert_array_equal(sorting.to_spike_vector()[order], spikes)
        indices = sorting.get_spike_vector_to_indices()
        for unit, segment, expected in trains_of(truth):
            first, last = slices[truth.id_to_index(unit), segment]
            np.testing.assert_array_equal(spikes["sample_index"][first:last], expected)
            np.testing.assert_array_equal(indices[segment][unit], order[first:last])

    def test_counts(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """Counts, silent units and last frames."""
        counts = np.bincount(truth.to_spike_vector()["unit_index"], minlength=truth.get_num_units())
        by_id = dict(zip(truth.unit_ids.tolist(), counts.tolist(), strict=True))
        assert sorting.count_num_spikes_per_unit() == by_id
        as_array = sorting.count_num_spikes_per_unit(outputs="array")
        assert as_array.dtype == np.int64
        assert as_array.tolist() == counts.tolist()
        assert sorting.count_total_num_spikes() == counts.sum()
        assert sorting.get_non_empty_unit_ids().tolist() == [u for u in by_id if by_id[u]]
        assert sorting.get_empty_unit_ids().tolist() == [u for u in by_id if not by_id[u]]
        for segment in range(truth.get_num_segments()):
            spikes = truth.to_spike_vector()[truth.to_spike_vector()["segment_index"] == segment]
            last = int(spikes["sample_index"].max(initial=-(2**62))) if len(spikes) else 0
            assert sorting.get_last_spike_frame(segment) == last

    def test_segments_answer_alone(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """The hooks of each segment agree with the vector."""
        vector = self._order(truth.to_spike_vector())
        for index, segment in enumerate(sorting.segments):
            spikes = vector[vector["segment_index"] == index]
            samples, units = segment.get_spike_columns()
            for start, end in WINDOWS[:5]:
                some = list(segment.iter_spike_columns(start, end))
                whole = segment.get_spike_columns(start, end)
                for column in (0, 1):
                    joined = np.concatenate([whole[column][:0], *(part[column] for part in some)])
                    np.testing.assert_array_equal(joined, whole[column])
                between = segment.count_spikes_between(start, end)
                counts = np.bincount(whole[1], minlength=truth.get_num_units())
                np.testing.assert_array_equal(between, counts)
                assert between.dtype == np.int64
            np.testing.assert_array_equal(samples, spikes["sample_index"])
            counts = np.bincount(units, minlength=truth.get_num_units())
            np.testing.assert_array_equal(segment.count_spikes(), counts)
            last = int(spikes["sample_index"][-1]) if len(spikes) else None
            assert segment.get_last_spike_frame() == last
        for unit, index, expected in _few(trains_of(truth)):
            for start, end in WINDOWS[:5]:
                train = sorting.segments[index].get_unit_spike_train(
                    unit_id=unit, start_frame=start, end_frame=end
                )
                np.testing.assert_array_equal(train, expected[inside(expected, start, end)])

    def test_nothing_read_can_be_written_to(self, sorting: BaseSorting, truth: Any) -> None:
        """What is handed out is a read-only view: no caller can spoil another's."""
        first = [
            sorting.get_unit_spike_trains(segment_index=index)
            for index in range(truth.get_num_segments())
        ]
        for trains in first:
            for train in trains.values():
                with pytest.raises(ValueError, match="read-only"):
                    train[...] = 0
        with pytest.raises(ValueError, match="read-only"):
            sorting.unit_ids[...] = sorting.unit_ids


def _truth(self: ReadingContract, request: pytest.FixtureRequest) -> NumpySorting:
    return make_truth(request.param)


def _few(items: Iterable[Any]) -> Sequence[Any]:
    """Twenty of the items at most."""
    everything = list(items)
    return everything[:: len(everything) // 20 + 1]


def _is_train(train: Any, expected: IntArray) -> None:
    assert train.dtype == np.int64
    assert train.ndim == 1
    assert not train.flags.writeable
    np.testing.assert_array_equal(train, expected)

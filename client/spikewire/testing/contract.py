"""What every sorting has to do, as a class of tests to inherit."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from spikewire.core.comparison import check_sortings_equal
from spikewire.core.loading import load
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.sorting import BaseSorting
from spikewire.testing.reading import ReadingContract


class SortingContract(ReadingContract):
    """Tests that a sorting reads, and behaves, as SpikeInterface's do.

    Inherit it in a test module, and say how to make a sorting that has the spikes of
    a given one::

        class TestMyFormat(SortingContract):
            def make_sorting(self, truth, folder):
                write_my_format(truth, folder / "file")
                return MySortingExtractor(folder / "file")

    A format that cannot hold every one of the `TRUTHS` names those that it can, in
    `truth_names`; a class that has its own data overrides the fixture `truth`.
    """

    # -- metadata -----------------------------------------------------------------------

    def test_metadata_are_carried_over(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """Properties and annotations are the truth's, dtypes included."""
        if not self.keeps_metadata:
            pytest.skip("this kind of sorting is made without metadata")
        check_sortings_equal(
            sorting,
            truth,
            check_annotations=True,
            check_properties=True,
            check_exact_lexsort=self.keeps_tie_order,
        )
        for key in truth.get_property_keys():
            values = sorting.get_property(key)
            assert values is not None
            assert values.dtype == truth.get_property(key).dtype  # type: ignore[union-attr]

    def test_properties(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """Properties are set, read, changed for some units and deleted."""
        ids = truth.unit_ids.tolist()
        before = sorting.get_property_keys()
        values = np.arange(len(ids)) * 1.5
        sorting.set_property("speed", values)
        np.testing.assert_array_equal(sorting.get_property("speed"), values)
        np.testing.assert_array_equal(sorting.get_property("speed", ids[::-1]), values[::-1])
        assert sorting.get_property_keys() == [*before, "speed"]
        assert sorting.get_property("no such property") is None
        if ids:
            assert sorting.get_unit_property(ids[-1], "speed") == values[-1]
            sorting.set_property("speed", [9.0], ids=ids[:1])
            assert sorting.get_unit_property(ids[0], "speed") == 9.0
            with pytest.raises(ValueError, match="unit"):
                sorting.set_property("speed", [1.0], ids=["no such unit"])
        with pytest.raises(AssertionError):
            sorting.set_property("speed", np.zeros(len(ids) + 1))
        sorting.delete_property("speed")
        assert sorting.get_property_keys() == before
        with pytest.raises(LookupError):
            sorting.delete_property("speed")

    def test_annotations(self, sorting: BaseSorting) -> None:
        """Annotations are set, copied, replaced and deleted."""
        sorting.annotate(trial={"number": 3})
        copy = sorting.get_annotation("trial")
        copy["number"] = 4
        assert sorting.get_annotation("trial") == {"number": 3}
        assert "trial" in sorting.get_annotation_keys()
        with pytest.raises(ValueError, match="trial"):
            sorting.set_annotation("trial", 5)
        sorting.set_annotation("trial", 5, overwrite=True)
        assert sorting.get_annotation("trial") == 5
        sorting.delete_annotation("trial")
        assert sorting.get_annotation("trial") is None
        with pytest.raises(ValueError, match="trial"):
            sorting.delete_annotation("trial")

    # -- views and copies ---------------------------------------------------------------

    def test_selection(self, sorting: BaseSorting, truth: NumpySorting) -> None:
        """Selections keep order, metadata and parent; wrong ones are AssertionErrors."""
        ids = truth.unit_ids.tolist()
        sorting.set_property("place", np.arange(len(ids)))
        selected = sorting.select_units(ids[::-2])
        expected = truth.select_units(ids[::-2])
        check_sortings_equal(selected, expected, check_exact_lexsort=self.keeps_tie_order)
        assert selected.get_property("place").tolist() == list(range(len(ids)))[::-2]  # type: ignore[union-attr]
        assert selected.get_parent() is sorting
        renamed = sorting.rename_units([f"unit{i}" for i in range(len(ids))])
        assert renamed.count_total_num_spikes() == truth.count_total_num_spikes()
        assert sorting.remove_units(ids[:1]).unit_ids.tolist() == ids[1:]
        assert sorting.remove_empty_units().get_empty_unit_ids().size == 0
        with pytest.raises(AssertionError):
            sorting.select_units(["no such unit"])
        with pytest.raises(AssertionError):
            sorting.rename_units([*range(len(ids)), 0])

    def test_copies(self, sorting: BaseSorting) -> None:
        """Clones, copies in memory and pickles are equal, metadata included."""
        sorting.annotate(where="here")
        sorting.set_property("place", np.arange(sorting.get_num_units()))
        copied = sorting.clone()
        assert type(copied) is type(sorting)
        in_memory = sorting.save(format="memory", sharedmem=False)
        unpickled = pickle.loads(pickle.dumps(sorting))
        for copy in (copied, in_memory, unpickled):
            check_sortings_equal(copy, sorting, check_annotations=True, check_properties=True)

    def test_dump(self, sorting: BaseSorting, tmp_path: Path) -> None:
        """A dump loads as an equal sorting of the same class, or says why it cannot be dumped."""
        sorting.annotate(where="here")
        if not sorting.check_serializability("json"):
            with pytest.raises(AssertionError, match="memory"):
                sorting.dump(tmp_path / "dump.json")
            return
        loaded = load(sorting.to_dict(include_annotations=True, recursive=True))
        assert type(loaded) is type(sorting)
        check_sortings_equal(loaded, sorting)
        sorting.dump(tmp_path / "dump.json")
        from_file = load(tmp_path / "dump.json")
        check_sortings_equal(from_file, sorting, check_annotations=True)

    def test_save(self, sorting: BaseSorting, tmp_path: Path) -> None:
        """A saved sorting loads as an equal one, and is not overwritten unasked."""
        sorting.annotate(where="here")
        sorting.set_property("place", np.arange(sorting.get_num_units()) * 0.5)
        saved = sorting.save(folder=tmp_path / "saved")
        loaded = load(tmp_path / "saved")
        for copy in (saved, loaded):
            check_sortings_equal(copy, sorting, check_annotations=True)
            np.testing.assert_array_equal(copy.get_property("place"), sorting.get_property("place"))
        with pytest.raises(ValueError, match="saved"):
            sorting.save(folder=tmp_path / "saved")

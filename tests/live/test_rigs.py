"""Rigs that record one session, each by its own clock."""

from __future__ import annotations

import numpy as np
import pytest

from spikewire.core.errors import RevisionMismatchError, SortingNotFoundError
from spikewire.testing import SortingContract

RATE = 1_000.0


@pytest.fixture
def rigs(client, name, spool):
    """Three rigs, `name/rig0` and so on, of two units each, with clocks that drift."""
    writers = [
        client.acquire(f"{name}/rig{rig}", RATE, [f"{rig}a", f"{rig}b"], spool=spool / str(rig))
        for rig in range(3)
    ]
    for rig, writer in enumerate(writers):
        writer.add_sync_points([0, 10_000], [1.0 + rig, 11.0 + 1.1 * rig])
    flush(writers)
    yield writers
    for writer in writers:
        writer.close()


def names_of(name: str, count: int = 3) -> list[str]:
    return [f"{name}/rig{rig}" for rig in range(count)]


def flush(writers) -> None:
    for writer in writers:
        writer.flush(30)


def test_sync_points_become_times_live_and_sealed(client, name, spool) -> None:
    with client.acquire(name, RATE, ["a", "b"], t_start=100.0, spool=spool) as writer:
        writer.append([0, 500, 2000], ["a", "b", "a"])
        writer.flush(30)
        sorting, before = client.open(name), client.open(name)
        assert sorting.get_unit_spike_train_in_seconds("a").tolist() == [100.0, 102.0]
        writer.add_sync_points([0, 1000], [5.0, 7.0])
        writer.flush(30)
        sorting.refresh()
        assert sorting.get_unit_spike_train_in_seconds("a").tolist() == [5.0, 9.0]
        assert sorting.get_unit_spike_train("b", return_times=True).tolist() == [6.0]
        assert sorting.get_start_time(0) == 5.0
        assert sorting.sample_index_to_time(250) == 5.5
        assert sorting.time_to_sample_index(5.5) == 250
        assert before.get_unit_spike_train_in_seconds("a").tolist() == [100.0, 102.0], "is pinned"
        writer.start_segment(t_start=50.0)
        writer.append([10], ["b"])
        sealed = writer.finish()
    for later in (sealed, client.open(name), client.save(name, f"{name}-saved")):
        assert later.get_unit_spike_train_in_seconds("a", 0).tolist() == [5.0, 9.0]
        assert later.get_unit_spike_train_in_seconds("b", 1).tolist() == [50.01]
    uploaded = client.upload(sealed.to_numpy_sorting(), f"{name}-uploaded")
    assert uploaded.get_unit_spike_train_in_seconds("a", 0).tolist() == [5.0, 9.0]


def test_a_resumed_rig_knows_its_sync_points(client, name, spool) -> None:
    writer = client.acquire(name, RATE, ["a"], spool=spool)
    writer.add_sync_points([0, 1000], [5.0, 6.0])
    writer.flush(30)
    writer.close()
    with client.acquire(name, RATE, resume=True, spool=spool) as writer:
        with pytest.raises(ValueError, match="ascend"):
            writer.add_sync_points([999], [7.0])
        with pytest.raises(ValueError, match="ascend"):
            writer.add_sync_points([1001], [np.nextafter(6.0, 0.0)])
        writer.add_sync_points([2000], [8.0])
        writer.append([3000], ["a"])
        sealed = writer.finish()
    assert sealed.get_unit_spike_train_in_seconds("a").tolist() == [10.0]


def test_sync_points_survive_a_restart(new_server, connect_to, name, spool) -> None:
    server = new_server()
    client = connect_to(server.address)
    with client.acquire(name, RATE, ["a"], spool=spool) as writer:
        writer.append([500], ["a"])
        writer.add_sync_points([0, 1000], [5.0, 7.0])
        writer.flush(30)
        server.restart()
        assert client.open(name).get_unit_spike_train_in_seconds("a").tolist() == [6.0]
        writer.finish()
    server.restart()
    assert client.open(name).get_unit_spike_train_in_seconds("a").tolist() == [6.0]


def test_rigs_are_read_as_one_while_they_record(client, name, rigs) -> None:
    view = client.aggregate(name, names_of(name))
    assert view.unit_ids.tolist() == ["0a", "0b", "1a", "1b", "2a", "2b"]
    assert view.get_property("aggregation_key").tolist() == np.repeat(names_of(name), 2).tolist()
    assert client.list(name + "/")[0].state == "recording"
    assert view.count_total_num_spikes() == 0
    pinned = client.open(name)
    for rig, writer in enumerate(rigs):
        writer.append([100, 5_000], [f"{rig}a", f"{rig}b"])
        writer.append([50, 200], [f"{rig}a", f"{rig}a"])
    flush(rigs)
    assert pinned.count_total_num_spikes() == 0
    view.refresh()
    assert view.get_unit_spike_train("1a").tolist() == [50, 100, 200]
    assert view.count_num_spikes_per_unit() == {
        **{f"{rig}a": 3 for rig in range(3)},
        **{f"{rig}b": 1 for rig in range(3)},
    }
    vector = view.to_spike_vector()
    assert vector["sample_index"].tolist() == [50] * 3 + [100] * 3 + [200] * 3 + [5_000] * 3
    assert vector["unit_index"].tolist() == [0, 2, 4] * 3 + [1, 3, 5]
    for rig in range(3):
        (train,) = view.get_unit_spike_train_in_seconds(f"{rig}b")
        assert train == pytest.approx(1 + rig + 0.5 * (10 + 0.1 * rig))
    before = view.revision
    rigs[1].append([6_000], ["1b"])
    rigs[1].flush(30)
    assert view.get_unit_spike_train("1b").tolist() == [5_000], "is pinned"
    assert view.count_total_num_spikes() == 12
    view.refresh()
    assert view.revision != before
    assert view.get_unit_spike_train("1b").tolist() == [5_000, 6_000]
    old = [writer.finish() for writer in rigs]
    assert [sorting.get_num_units() for sorting in old] == [2, 2, 2]
    last = view.revision
    assert view.get_unit_spike_train("2a", start_frame=51).tolist() == [100, 200]
    sealed = client.open(name)
    assert sealed.revision == last, "notebooks go on"
    assert np.array_equal(sealed.to_spike_vector(), view.to_spike_vector())
    assert pinned.get_unit_spike_train("0a").tolist() == []
    assert client.save(name, f"{name}-saved").get_unit_spike_train_in_seconds("2b").tolist() == [
        pytest.approx(3 + 0.5 * 10.2)
    ]


def test_rigs_may_start_segments_and_announce_units_alone(client, name, rigs) -> None:
    view = client.aggregate(name, names_of(name))
    rigs[0].start_segment()
    rigs[0].add_units(["0c"])
    rigs[0].append([7], ["0c"])
    flush(rigs)
    view.refresh()
    assert view.unit_ids.tolist() == ["0a", "0b", "0c", "1a", "1b", "2a", "2b"]
    assert view.get_num_segments() == 2
    assert view.get_unit_spike_train("0c", 1).tolist() == [7]
    assert view.get_unit_spike_train("1a", 1).tolist() == []
    assert view.get_last_spike_frame(1) == 7
    rigs[2].start_segment(t_start=4.0)
    rigs[2].append([8], ["2a"])
    rigs[2].flush(30)
    view.refresh()
    assert view.get_unit_spike_train("2a", 1).tolist() == [8]


def test_unit_ids_that_collide_are_numbered(client, name, spool) -> None:
    for rig in range(2):
        with client.acquire(f"{name}/rig{rig}", RATE, [0, 1], spool=spool / str(rig)) as writer:
            writer.append([rig + 1], [1])
    view = client.aggregate(name, {"left": f"{name}/rig0", "right": f"{name}/rig1"})
    assert view.unit_ids.tolist() == [0, 1, 2, 3]
    assert view.get_property("aggregation_key").tolist() == ["left", "left", "right", "right"]
    assert view.get_unit_spike_train(3).tolist() == [2]


def test_aggregating_again_is_a_retry(client, name, rigs) -> None:
    client.aggregate(name, names_of(name))
    rigs[0].append([1], ["0a"])
    flush(rigs)
    assert client.aggregate(name, names_of(name)).count_total_num_spikes() == 1


def test_views_of_the_view_are_pinned_with_it(client, name, rigs) -> None:
    view = client.aggregate(name, names_of(name))
    chosen = client.register(
        {
            **view.select_units(["2a", "0a"]).to_dict(),
            "kwargs": {
                "parent_sorting": {
                    "class": "spikewire.bridges.spikeinterface.RemoteSorting",
                    "kwargs": {"name": name},
                },
                "unit_ids": ["2a", "0a"],
            },
        },
        f"{name}-chosen",
    )
    rigs[2].append([3, 4], ["2a", "2b"])
    flush(rigs)
    assert chosen.count_total_num_spikes() == 0
    chosen.refresh()
    assert chosen.get_unit_spike_train("2a").tolist() == [3]
    assert chosen.get_unit_spike_train_in_seconds("2a").tolist() == [pytest.approx(3.003, abs=1e-4)]
    rigs[0].append([9], ["0a"])
    flush(rigs)
    assert chosen.get_unit_spike_train("0a").tolist() == []
    assert chosen.to_spike_vector()["sample_index"].tolist() == [3]


def test_a_listing_tells_what_is_recorded_and_what_shows_it(client, name, rigs) -> None:
    client.aggregate(name, names_of(name))
    pinned = client.open(f"{name}/rig1").select_units(["1a"])
    client.register(pinned, f"{name}/pinned")
    half = client.open(name).to_dict()
    half["kwargs"].pop("revision")
    half["kwargs"].pop("target")
    client.register(half, f"{name}/alias")
    rigs[1].append([3, 4], ["1a", "1b"])
    flush(rigs)

    def listed() -> dict[str, str]:
        return {info.name.removeprefix(name): info.state for info in client.list(name)}

    recording = {f"/rig{rig}": "recording" for rig in range(3)}
    both = {"": "recording", "/alias": "recording", "/pinned": "ready"}
    assert listed() == {**recording, **both}
    (rig,) = client.list(f"{name}/rig1")
    assert (rig.unit_count, rig.segment_count, rig.spike_count) == (2, 1, 2)
    for writer in rigs:
        writer.finish()
    assert set(listed().values()) == {"ready"}


def test_a_view_without_one_of_its_rigs_says_so(client, name, rigs) -> None:
    view = client.aggregate(name, names_of(name))
    client.delete(f"{name}/rig1")
    with pytest.raises((RevisionMismatchError, SortingNotFoundError, ValueError)):
        view.count_total_num_spikes()
    (listed,) = [info for info in client.list(name) if info.name == name]
    assert listed.origin == "view"


class TestRefreshedAggregate(SortingContract):
    """Two rigs with half of the units each, while they record."""

    keeps_tie_order = False  # those of one sample come rig by rig

    @pytest.fixture
    def sorting(self, truth, client, name, spool):
        units = truth.unit_ids
        half = len(units) // 2
        parts = [units[:half], units[half:]]
        path = name.replace("/", "_")
        writers = [
            client.acquire(
                f"{name}/rig{rig}", truth.sampling_frequency, part, spool=spool / f"{path}{rig}"
            )
            for rig, part in enumerate(parts)
        ]
        view = client.aggregate(name, names_of(name, 2))
        for segment, spikes in enumerate(truth.to_spike_vector(concatenated=False)):
            of_rig = (spikes["unit_index"] >= half).astype(int)
            for rig, writer in enumerate(writers):
                if segment:
                    writer.start_segment()
                own = spikes[of_rig == rig]
                for batch in np.array_split(own, 5):
                    if len(batch):
                        writer.append(batch["sample_index"], units[batch["unit_index"]])
        flush(writers)
        view.refresh()
        for key in view.get_property_keys():
            view.delete_property(key)
        yield view
        for writer in writers:
            writer.close()

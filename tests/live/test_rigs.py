"""Rigs that record one session, each by its own clock."""

from __future__ import annotations

import numpy as np
import pytest

RATE = 1_000.0


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

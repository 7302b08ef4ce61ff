"""The server's standard error is a log: one event a line, whoever speaks."""

from __future__ import annotations

import json

import numpy as np

import spikewire


def test_warnings_of_readers_are_events(new_server, tmp_path):
    folder = tmp_path / "lab" / "a"
    spikewire.generate_sorting(num_units=2, durations=[1.0]).save(folder=folder)
    objects = np.array([{"a": 1}, {"b": 2}], dtype=object)
    np.save(folder / "properties" / "fit.npy", objects, allow_pickle=True)
    server = new_server(f"lab={tmp_path / 'lab'}")
    with spikewire.connect(server.address) as client:
        assert "fit" not in client.open("lab/a").get_property_keys()
    events = [json.loads(line) for line in server.log.splitlines()]
    (warning,) = [event for event in events if event["event"] == "warning"]
    assert "fit" in warning["text"]

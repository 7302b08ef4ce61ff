"""The server as a process: starting, stopping, dying, and refusing to start."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import spikewire
from spikewire import NumpySorting


def run_server(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spikewire_server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def a_sorting(spike_count: int = 1000, seed: int = 0) -> NumpySorting:
    generator = np.random.default_rng(seed)
    samples = np.sort(generator.integers(0, 10_000, spike_count))
    labels = generator.integers(0, 5, spike_count)
    return NumpySorting.from_samples_and_labels([samples], [labels], 30_000.0)


def test_sigterm_drains_and_exits_with_0(new_server):
    server = new_server()
    with spikewire.connect(server.address) as client:
        client.upload(a_sorting(), "kept")
    assert server.stop() == 0
    server.start()
    with spikewire.connect(server.address) as client:
        assert client.open("kept").count_total_num_spikes() == 1000


def test_an_upload_that_was_answered_survives_kill_9(new_server):
    server = new_server()
    sorting = a_sorting()
    with spikewire.connect(server.address) as client:
        client.upload(sorting, "kept")
        server.restart()
        remote = client.open("kept")
        np.testing.assert_array_equal(remote.to_spike_vector(), sorting.to_spike_vector())


def test_health_is_served(server):
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "spikewire.v1.SortingService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_port_in_use_is_refused(server, tmp_path):
    done = run_server("--store", str(tmp_path / "other"), "--port", str(server.port))
    assert done.returncode == 1
    assert str(server.port) in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_in_use_is_refused_by_name(server):
    done = run_server("--store", str(server.store), "--port", "0")
    assert done.returncode == 1
    assert str(server.pid) in done.stderr
    assert "Traceback" not in done.stderr


def test_two_roots_with_one_label_are_refused(tmp_path):
    for folder in ("a/rat", "b/rat"):
        (tmp_path / folder).mkdir(parents=True)
    roots = [str(tmp_path / "a" / "rat"), str(tmp_path / "b" / "rat")]
    done = run_server(*roots, "--store", str(tmp_path / "store"), "--port", "0")
    assert done.returncode == 1
    assert "rat" in done.stderr
    assert "Traceback" not in done.stderr


def test_listening_beyond_this_machine_must_be_said_aloud(tmp_path):
    store = str(tmp_path / "store")
    done = run_server("--store", store, "--port", "0", "--host", "0.0.0.0")
    assert done.returncode == 1
    assert "--insecure" in done.stderr


def test_a_root_that_does_not_exist_is_refused(tmp_path):
    done = run_server(str(tmp_path / "absent"), "--store", str(tmp_path / "s"), "--port", "0")
    assert done.returncode == 1
    assert "absent" in done.stderr


def test_a_client_without_a_server_says_where_it_tried():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(spikewire.SpikewireError, match=rf"127\.0\.0\.1:{port}"):
            spikewire.connect(f"127.0.0.1:{port}", timeout=1.0)


def test_a_server_that_accepts_and_never_answers_is_given_up(tmp_path: Path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(spikewire.SpikewireError, match=address):
            spikewire.connect(address, timeout=1.0)

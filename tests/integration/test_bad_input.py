"""Bad input over a real socket: each ends in one clear error, and the server goes on."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

import spikewire
from spikewire import NpzSortingExtractor, NumpySorting
from spikewire.core import errors
from spikewire.v1 import sorting_service_pb2 as pb
from spikewire.v1 import sorting_service_pb2_grpc as rpc
from spikewire.v1 import spike_train_service_pb2, spike_train_service_pb2_grpc


def a_sorting(spike_count: int = 1000) -> NumpySorting:
    generator = np.random.default_rng(0)
    samples = np.sort(generator.integers(0, 10_000, spike_count))
    labels = generator.integers(0, 5, spike_count)
    return NumpySorting.from_samples_and_labels([samples], [labels], 30_000.0)


@pytest.fixture(scope="module")
def lab(tmp_path_factory, server_class) -> Iterator:
    """A server over a root with a good sorting, one without a rate, and a text file."""
    root = tmp_path_factory.mktemp("lab")
    NpzSortingExtractor.write_sorting(a_sorting(), root / "good.npz")
    folder = root / "rateless"
    folder.mkdir()
    np.save(folder / "spike_times.npy", np.arange(10, dtype=np.uint64))
    np.save(folder / "spike_clusters.npy", np.zeros(10, dtype=np.int32))
    (root / "notes.txt").write_text("no sorting")
    directory = tmp_path_factory.mktemp("lab_server")
    config = directory / "settings.toml"
    config.write_text("max_upload_bytes = 100000")
    process = server_class(directory, f"lab={root}", flags=("--config", str(config)))
    process.start()
    yield process
    process.close()


@pytest.fixture(scope="module")
def client(lab) -> Iterator[spikewire.Client]:
    with spikewire.connect(lab.address) as connected:
        yield connected


@pytest.fixture
def channel(lab) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(lab.address) as opened:
        yield opened


@pytest.mark.parametrize(
    "name",
    ["", "/", "a//b", "../lab/good.npz", "lab/../../etc", "a/./b", "a\nb", "a\x00b", "x" * 10_000],
)
def test_names_that_cannot_be_are_refused_everywhere(client, name):
    with pytest.raises(errors.InvalidNameError):
        client.open(name)
    with pytest.raises(errors.InvalidNameError):
        client.upload(a_sorting(), name)
    with pytest.raises(errors.InvalidNameError):
        client.register(client.open("lab/good.npz").select_units([1]), name)


def test_an_unknown_name_is_named(client):
    with pytest.raises(errors.SortingNotFoundError, match=r"lab/absent\.npz") as caught:
        client.open("lab/absent.npz")
    assert isinstance(caught.value, LookupError)
    assert isinstance(caught.value, ValueError)


def test_a_file_that_is_no_sorting_is_not_listed_and_not_opened(client):
    assert "lab/notes.txt" not in {info.name for info in client.list()}
    with pytest.raises(errors.SortingNotFoundError):
        client.open("lab/notes.txt")


def test_a_missing_rate_is_listed_and_the_error_is_the_setting(client):
    (info,) = client.list("lab/rateless")
    assert info.state == "needs sampling frequency"
    with pytest.raises(ValueError, match=r"--sampling-frequency 'lab/rateless=HZ'"):
        client.open("lab/rateless")


def test_the_setting_that_the_error_names_works(new_server, lab, tmp_path):
    folder = tmp_path / "rateless"
    folder.mkdir()
    np.save(folder / "spike_times.npy", np.arange(10, dtype=np.uint64))
    np.save(folder / "spike_clusters.npy", np.zeros(10, dtype=np.int32))
    server = new_server(f"lab={tmp_path}", flags=("--sampling-frequency", "lab/rateless=25000"))
    with spikewire.connect(server.address) as connected:
        assert connected.open("lab/rateless").sampling_frequency == 25_000.0


@pytest.mark.parametrize(
    "write",
    [
        lambda client: client.upload(a_sorting(), "lab/new"),
        lambda client: client.register(client.open("lab/good.npz").select_units([1]), "lab/new"),
        lambda client: client.save("lab/good.npz", "lab/copy"),
        lambda client: client.delete("lab/good.npz"),
    ],
)
def test_nothing_is_written_below_a_label(client, write):
    with pytest.raises(PermissionError, match="lab"):
        write(client)
    assert client.open("lab/good.npz").count_total_num_spikes() == 1000


def test_an_upload_over_the_limit_is_refused_before_it_is_sent_whole(client):
    with pytest.raises(errors.LimitExceededError, match="100000"):
        client.upload(a_sorting(10_000), "large")
    with pytest.raises(errors.SortingNotFoundError):
        client.open("large")


def test_an_uploader_that_is_killed_leaves_nothing(lab, client):
    script = f"""
        import grpc, os, time
        from spikewire.v1 import sorting_service_pb2 as pb, sorting_service_pb2_grpc as rpc

        def requests():
            header = pb.UploadHeader(name="cut", sampling_frequency_hz=1.0, spike_counts=[1000])
            header.segments.add()
            header.unit_ids.signed_ids.values.append(1)
            yield pb.UploadSortingRequest(header=header)
            print("begun", flush=True)
            time.sleep(60)

        with grpc.insecure_channel("{lab.address}") as channel:
            rpc.SortingServiceStub(channel).UploadSorting(requests())
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as uploader:
        assert uploader.stdout
        assert uploader.stdout.readline() == "begun\n"
        uploader.kill()
    # The server ends the upload when it sees the cut; a later upload of the name works.
    client.upload(a_sorting(10), "cut")
    assert client.open("cut").count_total_num_spikes() == 10
    client.delete("cut")
    assert not leftovers(lab.store)


def leftovers(store: Path) -> list[Path]:
    """What is half-uploaded, once the server had time to notice that somebody is gone."""
    deadline = time.monotonic() + 30
    while (left := [*(store / "uploads").iterdir()]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def nested(depth: int) -> bytes:
    """A RegisterSortingRequest with dumps nested so deep that no library would build it."""
    dump = b""
    for _ in range(depth):
        value = _field(11, dump)  # Value.dump_value
        entry = _field(1, b"parent_sorting") + _field(2, value)  # ValueEntry
        dump = _field(1, b"X") + _field(2, entry)  # DumpDict.class_name, kwargs
    return _field(1, b"deep") + _field(2, dump)


def _field(number: int, payload: bytes) -> bytes:
    size, length = len(payload), b""
    while True:
        length += bytes([size & 0x7F | (0x80 if size > 0x7F else 0)])
        size >>= 7
        if not size:
            return bytes([number << 3 | 2]) + length + payload


@pytest.mark.parametrize("depth", [25, 1000, 10_000])
def test_dumps_nested_too_deep_are_refused_and_the_server_lives(channel, client, depth):
    register = channel.unary_unary(
        "/spikewire.v1.SortingService/RegisterSorting",
        response_deserializer=pb.RegisterSortingResponse.FromString,
    )
    with pytest.raises(grpc.RpcError) as caught:
        register(nested(depth), timeout=30)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "deep" in caught.value.details()
    assert client.open("lab/good.npz").get_num_units() == 5


def test_garbage_is_no_message(channel, client):
    stream = channel.unary_stream("/spikewire.v1.SpikeTrainService/StreamSpikes")
    with pytest.raises(grpc.RpcError) as caught:
        list(stream(b"\xff" * 1000, timeout=30))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert client.open("lab/good.npz").get_num_units() == 5


def test_a_page_token_of_somebody_else_is_refused(channel):
    stub = rpc.SortingServiceStub(channel)
    for request in (
        pb.ListSortingsRequest(page_token="?"),
        pb.ListSortingsRequest(page_size=-1),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            stub.ListSortings(request, timeout=30)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_unit_indices_and_segments_beyond_the_end_are_refused(channel):
    stub = spike_train_service_pb2_grpc.SpikeTrainServiceStub(channel)
    request = spike_train_service_pb2.GetUnitSpikeTrainRequest(name="lab/good.npz")
    request.unit.unit_indices.values.append(5)
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetUnitSpikeTrain(request, timeout=30)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    request.unit.unit_indices.values[:] = [0]
    request.segment_index = 1
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetUnitSpikeTrain(request, timeout=30)
    assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE
    stream = spike_train_service_pb2.StreamSpikesRequest(name="lab/good.npz", offset=1001)
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.StreamSpikes(stream, timeout=30))
    assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE


def test_no_message_tells_of_a_path_of_the_server(lab, client):
    told = []
    for name in ("lab/absent.npz", "lab/rateless"):
        with pytest.raises(errors.SpikewireError) as caught:
            client.open(name)
        told.append(str(caught.value))
    assert not any(str(lab.store.parent) in text or "/tmp" in text for text in told)

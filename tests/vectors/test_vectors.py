"""The test vectors are fresh, and three decoders make of them what they say."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import zstandard
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from spikewire.core.errors import MalformedMessageError
from spikewire.v1 import spike_train_service_pb2  # noqa: F401  (registers the messages)
from spikewire.wire.chunks import decode_spikes
from spikewire.wire.cutting import cut_spikes, cut_trains
from spikewire.wire.gaps import MAX_CHUNK_SPIKES, NO_PARTS
from spikewire.wire.trains import decode_trains, train_counts

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
VALID = [name for name in NAMES if not name.startswith("invalid_")]
INVALID = [name for name in NAMES if name.startswith("invalid_")]


def load(name):
    """The message of a vector, and what is said of it."""
    says = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    kind = message_factory.GetMessageClass(
        descriptor_pool.Default().FindMessageTypeByName(says["message"])
    )
    del says["message"]
    return kind.FromString((FOLDER / f"{name}.binpb").read_bytes()), says


def exact(value):
    """What is said, with the numbers that had to be strings."""
    match value:
        case dict():
            return {key: item if key == "revision" else exact(item) for key, item in value.items()}
        case list():
            return [exact(item) for item in value]
        case str():
            return int(value)
    return value


def content(message, spikes_of, trains_of):
    """What a decoder makes of a message, in the form of the JSON files."""
    match message.DESCRIPTOR.name:
        case "SpikeChunk":
            samples, units = spikes_of(message)
            return {
                "segment_index": message.segment_index,
                "samples": samples,
                "unit_indices": units,
            }
        case "TrainChunk":
            trains = [{"unit_index": unit, "samples": train} for unit, train in trains_of(message)]
            return {"segment_index": message.segment_index, "trains": trains}
    return {
        "revision": message.revision,
        "spike_count": message.spike_count,
        "chunks": [content(chunk, spikes_of, trains_of) for chunk in message.chunks],
    }


# -- fresh ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made():
    spec = importlib.util.spec_from_file_location("make_vectors", FOLDER / "make_vectors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {vector.name: vector for vector in module.vectors()}


def unpacked(message):
    """A message without what depends on the release of zstd."""
    for chunk in getattr(message, "chunks", [message]):
        if chunk.packed[:4] == b"\x28\xb5\x2f\xfd":
            chunk.packed = zstandard.decompress(chunk.packed)
    return message


def test_there_is_a_file_for_every_vector(made):
    assert sorted(made) == NAMES == sorted(path.stem for path in FOLDER.glob("*.binpb"))


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_what_the_encoder_gives(made, name):
    assert (FOLDER / f"{name}.json").read_text("utf-8") == made[name].text()
    message, _ = load(name)
    assert unpacked(message) == unpacked(made[name].message)


def test_every_case_of_the_format_has_a_vector(made):
    seen = set()
    for name in VALID:
        message = made[name].message
        for chunk in getattr(message, "chunks", [message]):
            has_exceptions = chunk.exception_count > 0
            seen.add((chunk.DESCRIPTOR.name, "deltas", chunk.delta_width_bytes, has_exceptions))
            if chunk.DESCRIPTOR.name == "SpikeChunk":
                seen.add(("SpikeChunk", "units", chunk.unit_width_bytes, chunk.base_unit > 0))
    for kind in ("SpikeChunk", "TrainChunk"):
        plain = {(kind, "deltas", width, False) for width in (0, 1, 2, 4, 8)}
        assert plain | {(kind, "deltas", width, True) for width in (1, 2, 4)} <= seen
    assert {("SpikeChunk", "units", width, False) for width in (1, 2, 4)} <= seen
    assert {("SpikeChunk", "units", width, True) for width in (0, 1)} <= seen


# -- our decoder ---------------------------------------------------------------------------------


def our_spikes(chunk):
    count = min(chunk.spike_count, MAX_CHUNK_SPIKES)
    samples, units = np.empty(count, np.int64), np.empty(count, np.int64)
    decode_spikes(chunk, samples, units, unit_count=2**32)
    return samples.tolist(), units.tolist()


def our_trains(chunk):
    units, counts = train_counts(chunk)
    trains = [np.empty(count, np.int64) for count in counts]
    decode_trains(chunk, trains)
    return [(unit, train.tolist()) for unit, train in zip(units, trains, strict=True)]


@pytest.mark.parametrize("name", VALID)
def test_our_decoder_makes_of_it_what_it_says(name):
    message, says = load(name)
    assert content(message, our_spikes, our_trains) == exact(says)


@pytest.mark.parametrize("name", INVALID)
def test_our_decoder_refuses_what_is_invalid(name):
    message, _ = load(name)
    with pytest.raises(MalformedMessageError):
        content(message, our_spikes, our_trains)


@pytest.mark.parametrize("name", [name for name in VALID if name.startswith("stream_")])
def test_what_is_cut_out_instead_of_copied_is_the_same(name):
    message, says = load(name)
    data = message.SerializeToString()
    is_trains = message.DESCRIPTOR.name == "GetUnitSpikeTrainsResponse"
    answer = cut_trains(data) if is_trains else cut_spikes(data)
    for (chunk, parts), expected in zip(answer.chunks, exact(says)["chunks"], strict=True):
        assert parts is not NO_PARTS
        if is_trains:
            _, counts = train_counts(chunk)
            trains = [np.empty(count, np.int64) for count in counts]
            decode_trains(chunk, trains, parts)
            assert [train["samples"] for train in expected["trains"]] == [
                train.tolist() for train in trains
            ]
        else:
            samples = np.empty(chunk.spike_count, np.int64)
            decode_spikes(chunk, samples, np.empty_like(samples), 2**32, parts)
            assert samples.tolist() == expected["samples"]


# -- the decoder of docs/protocol.md -------------------------------------------------------------


@pytest.fixture(scope="module")
def page():
    """What the code on the page defines, up to where it connects."""
    text = (FOLDER.parents[1] / "docs" / "protocol.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    defined = {}
    exec(code.partition("\nstub = ")[0], defined)
    return defined


@pytest.mark.parametrize("name", VALID)
def test_the_decoder_of_the_page_makes_of_it_what_it_says(page, name):
    message, says = load(name)
    assert content(message, page["decode_spikes"], page["decode_trains"]) == exact(says)


@pytest.mark.parametrize("name", INVALID)
def test_the_decoder_of_the_page_refuses_what_is_invalid(page, name):
    message, _ = load(name)
    with pytest.raises((ValueError, IndexError, DecodeError, zstandard.ZstdError)):
        content(message, page["decode_spikes"], page["decode_trains"])


# -- another language ----------------------------------------------------------------------------


def test_javascript_makes_of_them_what_they_say():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    done = subprocess.run(
        [node, str(FOLDER / "decode.mjs"), str(FOLDER)], capture_output=True, text=True, check=True
    )
    results = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert sorted(results) == NAMES
    for name, result in results.items():
        expected = "refused" if name in INVALID else "ok"
        assert result == ("skipped" if "zstd" in name else expected), name

"""Packed or plain: what is forced, what is measured, what is changed on the way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import spikewire
from spikewire.core.errors import InvalidValueError
from spikewire.remote import codecs, transfer
from spikewire.remote.codecs import (
    FAST_BYTES_PER_SECOND,
    FASTER_BYTES_PER_SECOND,
    CodecChoice,
    Meter,
)
from spikewire.remote.resources import Resources
from spikewire.wire.gaps import ZSTD

MIB = 1 << 20


def choice(codec="auto", is_loopback=False):
    return CodecChoice(codec, is_loopback)


def at(chosen, bytes_per_second, packed=False, bytes_per_spike=3.0):
    """Let the choice see 10 MiB at some speed."""
    size = 10 * MIB
    chosen.measured(packed, int(size / bytes_per_spike), size, size / bytes_per_second)
    return chosen.accepted()


def test_a_forced_codec_stays():
    assert choice("plain").accepted() == at(choice("plain"), 1e6) == []
    assert choice("zstd").accepted() == at(choice("zstd"), 1e12) == [ZSTD]
    assert choice("zstd", is_loopback=True).accepted() == [ZSTD]


def test_loopback_is_plain_whatever_is_measured():
    assert at(choice(is_loopback=True), 1e6) == []


def test_a_gigabit_line_is_packed_from_the_first_request_on():
    chosen = choice()
    assert chosen.accepted() == [ZSTD]
    for bits_per_second in (0.95e9, 1e8, 1e6):
        assert at(chosen, bits_per_second / 8, packed=True, bytes_per_spike=1.9) == [ZSTD]


def test_plain_is_tried_on_a_faster_line_and_kept_on_a_fast_one():
    chosen = choice()
    assert at(chosen, 2e9 / 8, packed=True, bytes_per_spike=1.9) == []
    assert at(chosen, FAST_BYTES_PER_SECOND * 1.01) == []
    # 2 Gbit/s: as many bytes a second, but each of them says more when it is packed.
    assert at(chosen, 2e9 / 8) == [ZSTD]
    assert at(chosen, 2e9 / 8, packed=True, bytes_per_spike=1.9) == [ZSTD]


def test_a_slow_server_is_not_taken_for_a_slow_link():
    chosen = choice()
    assert at(chosen, FASTER_BYTES_PER_SECOND * 1.1, packed=True, bytes_per_spike=2.6) == []
    assert at(chosen, FAST_BYTES_PER_SECOND * 0.9) == []  # 94 against 79 M spikes a second
    assert at(chosen, FAST_BYTES_PER_SECOND * 0.6) == [ZSTD]  # now the link is slow as well
    assert at(chosen, 20e6, packed=True, bytes_per_spike=1.9) == []


def test_little_is_no_measure():
    chosen = choice()
    chosen.measured(True, 1000, MIB - 1, 1e-6)
    assert chosen.accepted() == [ZSTD]


def test_a_meter_begins_with_the_first_chunk(monkeypatch):
    clock = itertools.chain([100.0, 101.0, 103.0])
    monkeypatch.setattr(codecs.time, "perf_counter", lambda: next(clock))
    seen = []
    chosen = choice()
    monkeypatch.setattr(chosen, "measured", lambda *measure: seen.append(measure))
    meter = Meter(chosen, True)
    for spikes, size in ((9, 99), (10, 100), (20, 200)):
        meter.received(spikes, size)
    assert seen == [(True, 10, 100, 1.0), (True, 30, 300, 3.0)]


@pytest.mark.parametrize("codec", ["lz4", "", None, "ZSTD"])
def test_other_codecs_are_refused(fake, codec):
    with pytest.raises(InvalidValueError, match="'auto', 'plain' or 'zstd'"):
        spikewire.connect(fake.address, codec=codec)


@pytest.mark.parametrize(("codec", "accepted"), [("auto", []), ("plain", []), ("zstd", [ZSTD])])
def test_requests_say_what_is_accepted(fake, codec, accepted):
    with spikewire.connect(fake.address, codec=codec) as client:
        sorting = client.open("a")
        sorting.to_spike_columns(0)
        sorting.get_unit_spike_train(1, 0)
        sorting.get_unit_spike_trains(None, 0)
    asked = [
        list(request.accept_codecs)
        for method in ("StreamSpikes", "GetUnitSpikeTrain", "GetUnitSpikeTrains")
        for request in fake.script.asked(method)
    ]
    assert asked == [accepted] * len(asked)
    assert len(asked) == 4  # the fake server cuts long trains


def test_packed_answers_of_a_real_server_are_the_same(server):
    rng = np.random.default_rng(3)
    samples = np.sort(rng.integers(0, 10**6, 20_000))
    local = spikewire.NumpySorting.from_samples_and_labels(
        [samples], [rng.integers(0, 4, samples.size)], 30_000.0
    )
    with spikewire.connect(server.address, codec="zstd") as client:
        remote = client.upload(local, "codecs/packed")
        for got, expected in zip(
            remote.to_spike_columns(0), local.to_spike_columns(0), strict=True
        ):
            np.testing.assert_array_equal(got, expected)
        for unit, train in remote.get_unit_spike_trains().items():
            np.testing.assert_array_equal(train, local.get_unit_spike_train(unit))


def test_a_long_stream_changes_its_codec_on_a_fast_link(fake, monkeypatch):
    monkeypatch.setattr(transfer, "_WORTH_REPACKING", 100)
    monkeypatch.setattr(codecs, "_MEASURED_BYTES", 1)
    monkeypatch.setattr(codecs, "FASTER_BYTES_PER_SECOND", 0.0)
    monkeypatch.setattr(codecs, "FAST_BYTES_PER_SECOND", 0.0)
    monkeypatch.setattr(Resources, "of", with_measuring(Resources.of))
    with spikewire.connect(fake.address) as client:
        vector = client.open("a").to_spike_vector()
    np.testing.assert_array_equal(vector, fake.script.sorting.to_spike_vector())
    first, second = fake.script.asked("StreamSpikes")
    assert (first.offset, list(first.accept_codecs)) == (0, [ZSTD])
    assert (second.offset, list(second.accept_codecs)) == (80, [])


def with_measuring(make):
    """Resources of a client that is far away from a server on this machine."""

    def made(target, *settings):
        return make(target._replace(host="far.away"), *settings)

    return made

"""The commands that record and follow, as processes, against servers that may be restarted."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewire
from spikewire import NumpySorting

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]
Interrupt = Callable[[subprocess.Popen[str]], str]


@pytest.fixture
def source() -> NumpySorting:
    """Two segments of different times, with ties."""
    random = np.random.default_rng(0)
    samples = [np.sort(random.integers(0, 60_000, 2_000)), np.sort(random.integers(-500, 500, 300))]
    labels = [random.integers(0, 5, len(some)) * 3 for some in samples]
    source = NumpySorting.from_samples_and_labels(samples, labels, 30_000.0)
    source.segments[0]._t_start = 2.5
    source.segments[1]._t_start = 10.25
    return source


@pytest.fixture
def folder(source: NumpySorting, tmp_path: Path) -> Path:
    """The same on disk, where a minute at a hundredth of the speed is long enough."""
    source.save(folder=tmp_path / "source")
    return tmp_path / "source"


def lines_of(sorting: Any) -> list[str]:
    return [
        f"{segment} {sample} {sorting.unit_ids[unit]}"
        for sample, unit, segment in sorting.to_spike_vector().tolist()
    ]


def check_equal(first: Any, second: Any) -> None:
    np.testing.assert_array_equal(first.unit_ids, second.unit_ids)
    np.testing.assert_array_equal(first.to_spike_vector(), second.to_spike_vector())
    assert first.get_sampling_frequency() == second.get_sampling_frequency()


@pytest.mark.parametrize("command", ["acquire", "replay", "tail"])
def test_help_has_examples(run: Run, command: str) -> None:
    assert f"  spikewire {command} " in run(command, "--help").stdout


# -- replay and tail ------------------------------------------------------------------


def test_a_replay_is_the_source_spike_for_spike(
    run: Run, server: Any, client: Any, name: str, source: NumpySorting, folder: Path
) -> None:
    target = f"{server.address}/{name}"
    done = run("replay", folder, "--as", target, "--speed", "max")
    assert f"{target}: finished, 2,300 spikes, 2.0 s of the recording" in done.stderr
    check_equal(client.open(name), source)
    tailed = run("tail", target)
    assert tailed.stdout.splitlines() == lines_of(source)
    assert tailed.stderr == f"{target}: finished, 2,300 spikes\n"


def test_a_tail_while_a_replay_runs_gets_everything(
    run: Run,
    start: Start,
    server: Any,
    name: str,
    source: Any,
    folder: Path,
    await_recording: Callable[[str], None],
) -> None:
    target = f"{server.address}/{name}"
    replay = start("replay", folder, "--as", target, "--speed", "1", "--batch", "5")
    await_recording(target)
    assert run("tail", target).stdout.splitlines() == lines_of(source)
    assert replay.wait(60) == 0


def test_an_interrupted_replay_goes_on(
    run: Run,
    start: Start,
    server: Any,
    client: Any,
    name: str,
    source: Any,
    folder: Path,
    await_recording: Callable[[str], None],
    interrupt: Interrupt,
) -> None:
    target = f"{server.address}/{name}"
    replay = start("replay", folder, "--as", target, "--speed", "0.01")
    await_recording(target)
    said = interrupt(replay)
    assert re.match(r"interrupted: [\d,]+ spikes were recorded; --resume goes on there", said)
    assert "--resume goes on" in run("replay", folder, "--as", target, status=1).stderr
    done = run("replay", folder, "--as", target, "--speed", "max", "--resume")
    assert "finished" in done.stderr
    check_equal(client.open(name), source)
    again = run("replay", folder, "--as", target, "--resume", status=1)
    assert "is not being recorded" in again.stderr


def test_a_replay_and_its_tail_outlast_the_server(
    start: Start,
    new_server: Callable[..., Any],
    source: Any,
    folder: Path,
    await_recording: Callable[[str], None],
) -> None:
    server = new_server()
    target = f"{server.address}/rat7/probe0"
    replay = start("replay", folder, "--as", target, "--speed", "0.5")
    await_recording(target)
    tail = start("tail", target)
    assert tail.stdout
    lines = [tail.stdout.readline()]
    server.restart()
    lines += tail.stdout.readlines()
    assert tail.wait(60) == 0
    assert "".join(lines).splitlines() == lines_of(source)
    assert replay.wait(60) == 0
    with spikewire.connect(server.address) as client:
        check_equal(client.open("rat7/probe0"), source)


def test_a_sorting_of_a_server_can_be_replayed(
    run: Run, server: Any, client: Any, name: str, source: Any
) -> None:
    client.upload(source, f"{name}/source")
    words = f"{server.address}/{name}/source", "--as", f"{server.address}/{name}/replay"
    run("replay", *words, "--speed", "max")
    assert "neither a positive number" in run("replay", *words, "--speed", "0", status=2).stderr
    recorded = client.open(f"{name}/replay")
    check_equal(recorded, source)
    assert [segment._t_start for segment in recorded.segments] == [2.5, 10.25]


def test_real_data_is_replayed(run: Run, server: Any, name: str, real_data: Path) -> None:
    folder = real_data / "phy_wmaze"
    target = f"{server.address}/{name}"
    run("replay", folder, "--as", target, "--speed", "max")
    check_equal(spikewire.RemoteSorting(*target.split("/", 1)), spikewire.load(folder))


def test_another_source_does_not_go_on(
    run: Run,
    start: Start,
    server: Any,
    name: str,
    folder: Path,
    tmp_path: Path,
    await_recording: Callable[[str], None],
    interrupt: Interrupt,
) -> None:
    target = f"{server.address}/{name}"
    replay = start("replay", folder, "--as", target, "--speed", "0.01")
    await_recording(target)
    interrupt(replay)
    other = spikewire.generate_sorting(num_units=3, durations=[1.0], seed=1)
    other.save(folder=tmp_path / "other")
    done = run("replay", tmp_path / "other", "--as", target, "--resume", status=1)
    assert "other units" in done.stderr
    run("replay", folder, "--as", target, "--speed", "max", "--resume")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["replay", "{folder}", "--as", "{target}", "--speed", "-1"], "nor 'max'"),
        (["replay", "{folder}", "--as", "{target}", "--batch", "0"], "--batch"),
        (["replay", "{folder}"], "--as"),
        (["tail", "{target}", "--from", "noon"], "--from"),
        (["acquire", "{target}"], "--sampling-frequency is needed"),
    ],
)
def test_wrong_options_are_usage_errors(
    run: Run, words: list[str], complaint: str, folder: Path
) -> None:
    filled = [word.format(folder=folder, target="localhost:1/name") for word in words]
    assert complaint in run(*filled, status=2).stderr


def test_tail_says_what_there_is_not(run: Run, server: Any, client: Any, name: str) -> None:
    target = f"{server.address}/{name}"
    assert f"no sorting is called {name!r}" in run("tail", target, status=1).stderr
    client.upload(spikewire.generate_sorting(num_units=2, durations=[1.0]), name)
    assert "is not being recorded" in run("tail", target, status=1).stderr


def test_tail_begins_where_it_is_told_with_the_units_it_is_told(
    start: Start, run: Run, server: Any, client: Any, name: str, tmp_path: Path
) -> None:
    target = f"{server.address}/{name}"
    with client.acquire(name, 1000.0, ["a", "b c", "3"], spool=tmp_path / "spool") as writer:
        writer.append([1, 2, 3], ["a", "b c", "3"])
        writer.flush(30)
        now = start("tail", target, "--from", "now")
        sample = 4
        while not select.select([now.stdout], [], [], 0.05)[0]:
            writer.append([sample], ["a"])
            sample += 1
        unknown = run("tail", target, "--unit-ids", "b c,4", status=1)
    assert "has no units '4' yet" in unknown.stderr
    samples = [int(line.split()[1]) for line in now.communicate(timeout=60)[0].splitlines()]
    assert samples == list(range(samples[0], sample))
    assert samples[0] >= 4
    assert run("tail", target, "--unit-ids", "b c, 3").stdout == '0 2 "b c"\n0 3 3\n'


def test_an_interrupted_tail_says_how_much_came(
    start: Start, server: Any, client: Any, name: str, tmp_path: Path, interrupt: Interrupt
) -> None:
    writer = client.acquire(name, 1000.0, [1], spool=tmp_path / "spool")
    writer.append([1, 2], [1, 1])
    tail = start("tail", f"{server.address}/{name}")
    assert tail.stdout
    assert [tail.stdout.readline() for _ in range(2)] == ["0 1 1\n", "0 2 1\n"]
    assert interrupt(tail) == f"{server.address}/{name}: 2 spikes so far\n"
    writer.close()


def test_a_tail_whose_reader_has_gone_ends(
    start: Start, server: Any, client: Any, name: str, tmp_path: Path
) -> None:
    with client.acquire(name, 1000.0, [1], spool=tmp_path / "spool") as writer:
        writer.append([1], [1])
        tail = start("tail", f"{server.address}/{name}")
        assert tail.stdout
        assert tail.stderr
        tail.stdout.readline()
        tail.stdout.close()
        while tail.poll() is None:
            writer.append([2], [1])
            writer.flush(30)
        assert tail.stderr.read() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_shows_rates(
    environment: dict[str, str], server: Any, client: Any, name: str, tmp_path: Path
) -> None:
    import pty

    controller, terminal = pty.openpty()
    with client.acquire(name, 1000.0, ["a\x1b[5m", "b"], spool=tmp_path / "spool") as writer:
        samples = np.arange(0, 10_000, 10)
        writer.append(samples, np.where(samples % 50 == 0, "b", "a\x1b[5m"))
        tail = subprocess.Popen(
            [sys.executable, "-m", "spikewire.cli", "tail", f"{server.address}/{name}"],
            stdout=terminal,
            env={**environment, "TERM": "xterm", "COLUMNS": "120", "LINES": "30"},
        )
        os.close(terminal)
        shown = read_until(controller, "1,000 spikes")
    while tail.poll() is None:
        shown += read(controller)
    os.close(controller)
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown)
    assert tail.returncode == 0
    assert f"{name}: 10.0 s of segment 0   1,000 spikes" in plain
    assert re.search(r"^a\ufffd\[5m +800 +80\.0 +█{30}", plain, re.MULTILINE)
    assert re.search(r"^b +200 +20\.0 +█{21} ", plain, re.MULTILINE)
    assert "latency" in plain


def read(descriptor: int) -> str:
    if not select.select([descriptor], [], [], 0.1)[0]:
        return ""
    try:
        return os.read(descriptor, 65536).decode(errors="replace")
    except OSError:  # the other end was closed
        return ""


def read_until(descriptor: int, text: str) -> str:
    shown, deadline = "", time.monotonic() + 60
    while text not in shown and time.monotonic() < deadline:
        shown += read(descriptor)
    return shown

"""Lines of spikes become a sorting, and a wrong one costs nothing that came before it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import spikewire

Run = Callable[..., subprocess.CompletedProcess[str]]

BEGIN = ["--sampling-frequency", 1000]


@pytest.fixture
def target(server: Any, name: str) -> str:
    return f"{server.address}/{name}"


def spikes_of(client: Any, name: str) -> list[tuple[int, int, Any]]:
    """Return segment, sample and unit id of each spike."""
    sorting = client.open(name)
    units = sorting.unit_ids.tolist()
    return [
        (segment, sample, units[unit])
        for sample, unit, segment in sorting.to_spike_vector().tolist()
    ]


def test_lines_of_every_form_are_recorded(run: Run, target: str, client: Any, name: str) -> None:
    text = "# by hand\n\n5 1\r\n0,7,2\n 1\t-3 1 \n9 7\n0 6 2\n2, 8, 1"
    done = run("acquire", target, *BEGIN, stdin=text)
    assert done.stderr == f"{target}: 6 spikes of 3 units recorded and finished\n"
    assert spikes_of(client, name) == [
        (0, 5, 1), (0, 6, 2), (0, 7, 2), (1, -3, 1), (1, 9, 7), (2, 8, 1)
    ]  # fmt: skip
    sorting = client.open(name)
    assert sorting.unit_ids.tolist() == [1, 2, 7]
    assert sorting.get_sampling_frequency() == 1000.0


def test_no_lines_are_an_empty_sorting(run: Run, target: str, client: Any, name: str) -> None:
    run("acquire", target, *BEGIN, "--unit-ids", "3,1")
    sorting = client.open(name)
    assert sorting.unit_ids.tolist() == [3, 1]
    assert sorting.count_total_num_spikes() == 0


def test_options_say_what_units_are(run: Run, target: str, client: Any, name: str) -> None:
    said = run("acquire", target, *BEGIN, "--text", "--unit-ids", "8,7", stdin="1 9", status=1)
    assert "'9' is not one of the units '8', '7'" in said.stderr
    run("acquire", target, "--resume", "--new-units", "--unit-ids", "6", stdin="1 7\n2 9")
    assert client.open(name).unit_ids.tolist() == ["8", "7", "6", "9"]


def test_a_wrong_line_costs_nothing_that_came_before_it(
    run: Run, target: str, client: Any, name: str
) -> None:
    said = run("acquire", target, *BEGIN, stdin="3 1\n# two\n4 1\n4.5 1\n6 1", status=1).stderr
    assert said.startswith("spikewire: line 4, '4.5 1': a line is 'sample unit' or ")
    assert said.endswith("\n2 spikes were recorded; go on from line 4 with --resume\n")
    assert spikes_of(client, name) == [(0, 3, 1), (0, 4, 1)]
    refused = run("acquire", target, *BEGIN, stdin="6 1", status=1).stderr
    assert "--resume goes on with it" in refused
    run("acquire", target, "--resume", stdin="5 1\n6 1")
    assert [spike[1] for spike in spikes_of(client, name)] == [3, 4, 5, 6]


def test_text_that_is_no_utf8_and_lines_without_end_are_refused(
    environment: dict[str, str], target: str
) -> None:
    def said(stdin: bytes, *options: str) -> bytes:
        command = ["acquire", target, "--sampling-frequency", "1000", *options]
        return subprocess.run(
            [sys.executable, "-m", "spikewire.cli", *command],
            input=stdin,
            env=environment,
            check=False,
            capture_output=True,
        ).stderr

    assert b"line 2" in said(b"1 a\n2 \xff\n")
    assert b"a line is longer than 65,536 bytes" in said(b"1 " + b"a" * 200_000, "--resume")


def test_an_interrupted_recording_goes_on(
    start: Callable[..., subprocess.Popen[str]],
    run: Run,
    target: str,
    client: Any,
    name: str,
    await_recording: Callable[[str], None],
    interrupt: Callable[[subprocess.Popen[str]], str],
) -> None:
    process = start("acquire", target, *BEGIN)
    assert process.stdin
    process.stdin.write("1 a\n2 b\n30")  # the last line is not whole
    process.stdin.flush()
    await_recording(target)
    said = interrupt(process)
    assert said == "interrupted: 2 spikes were recorded; go on from line 3 with --resume\n"
    run("acquire", target, "--resume", "--keep-open", stdin="3 c\n")
    assert client.list(prefix=name)[0].state == "recording"
    run("acquire", target, "--resume", stdin="1 4 a\n")
    assert spikes_of(client, name) == [(0, 1, "a"), (0, 2, "b"), (0, 3, "c"), (1, 4, "a")]


def test_lines_outlast_the_server(
    start: Callable[..., subprocess.Popen[str]],
    new_server: Callable[..., Any],
    await_recording: Callable[[str], None],
) -> None:
    server = new_server()
    target = f"{server.address}/rat7"
    process = start("acquire", target, *BEGIN)
    assert process.stdin
    process.stdin.write("1 a\n")
    process.stdin.flush()
    await_recording(target)
    server.kill()
    process.stdin.write("2 b\n")
    process.stdin.flush()
    server.start()
    process.communicate("3 a\n", timeout=60)
    assert process.returncode == 0
    with spikewire.connect(server.address) as client:
        assert spikes_of(client, "rat7") == [(0, 1, "a"), (0, 2, "b"), (0, 3, "a")]


def test_what_tail_prints_acquire_records(run: Run, target: str, client: Any, name: str) -> None:
    source = spikewire.generate_sorting(num_units=4, durations=[2.0, 1.0], seed=3)
    source = source.rename_units(["a", "b c", 'd"', "4"])
    client.upload(source, f"{name}/source")
    run("replay", f"{target}/source", "--as", f"{target}/first", "--speed", "max")
    lines = run("tail", f"{target}/first").stdout
    run("acquire", f"{target}/second", "--sampling-frequency", 30000, "--text", stdin=lines)
    assert run("tail", f"{target}/second").stdout == lines

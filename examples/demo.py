"""What `make demo` shows: a server, the tutorial run against it, and a raster.

    python examples/demo.py [FOLDER]

serves FOLDER, a sorting of yours, or one made up if there is none.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import spikewire
from spikewire.cli.raster import raster

TUTORIAL = Path(__file__).with_name("tutorial_remote.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, help="a sorting: a folder or a file")
    data = parser.parse_args().data
    # A polite kill unwinds like Ctrl-C, so that the server is stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="spikewire-demo-") as name:
        folder = Path(name)
        root, sorting_name = root_of(data, folder / "data")
        tutorial = folder / "tutorial"
        tutorial.mkdir()
        with server(f"data={root}", f"tutorial={tutorial}", folder=folder) as address:
            say(f"A server listens on {address}. The tutorial of 2021, run against it:")
            subprocess.run([sys.executable, TUTORIAL, address], cwd=tutorial, check=True)
            show(address, sorting_name)
        say("The server has stopped.")


def root_of(data: Path | None, folder: Path) -> tuple[Path, str]:
    """Return a root with the sorting in it, and the sorting's name if the label is "data"."""
    if data is None:
        sorting = spikewire.generate_sorting(num_units=12, durations=[60.0], seed=0)
        sorting.save(folder=folder)
        return folder, "data"
    if data.is_dir():
        return data.resolve(), "data"
    folder.mkdir()
    shutil.copy(data, folder)
    return folder, f"data/{data.name}"


def show(address: str, name: str) -> None:
    with spikewire.connect(address) as client:
        sorting = client.open(name)
        say(f"The sorting {name!r}, read through the server:")
        width = min(shutil.get_terminal_size((100, 24)).columns, 140)
        for line in raster(sorting, width=width, ascii_only=not can_show_braille()):
            print(line)
        print(f"{sorting.get_num_units()} units")
        print(f"{sorting.count_total_num_spikes():,} spikes")


@contextmanager
def server(*roots: str, folder: Path) -> Iterator[str]:
    """Run a server while the block runs, and yield the address that it listens on."""
    command = [sys.executable, "-m", "spikewire_server", *roots, "--port", "0"]
    log = folder / "server.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*command, "--store", folder / "store"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        ready = process.stdout.readline()
        if not ready:
            sys.exit(f"the server did not start:\n{log.read_text()}")
        yield ready.split()[-1]
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        finally:
            process.kill()
    if process.returncode and os.name == "posix":
        sys.exit(f"the server ended with status {process.returncode}:\n{log.read_text()}")


def can_show_braille() -> bool:
    try:
        "\u28ff".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def say(text: str) -> None:
    print(f"\n{text}\n", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except (OSError, spikewire.errors.SpikewireError) as error:
        sys.exit(f"demo: {error}")

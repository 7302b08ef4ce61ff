"""A link of a given speed: a network namespace behind a shaped pair of interfaces."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self


def missing() -> str | None:
    """Return why there can be no shaped link here, None if there can."""
    for tool in ("ip", "tc"):
        if shutil.which(tool) is None:
            return f"there is no {tool} command (Linux, package iproute2)"
    if os.geteuid():
        return "making network namespaces needs root"
    return None


class ShapedLink:
    """A namespace whose only way out carries so many bits a second, either way.

    Run servers in it (`within`) on its address (`host`).
    """

    def __init__(self, megabits: int) -> None:
        self._megabits = megabits
        number = os.getpid() % 250
        self._namespace = f"spikewire-bench-{number}"
        self._here, self._there = f"swb{number}", f"swb{number}far"
        self._near = f"10.231.{number}.1"
        self.host = f"10.231.{number}.2"
        self.within = ("ip", "netns", "exec", self._namespace)

    def __enter__(self) -> Self:
        _run("ip", "netns", "add", self._namespace)
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["ip", "link", "delete", self._here], check=False, capture_output=True)
        _run("ip", "netns", "delete", self._namespace)

    def _make(self) -> None:
        pair = ("type", "veth", "peer", "name", self._there, "netns", self._namespace)
        _run("ip", "link", "add", self._here, *pair)
        for command, device, address in (
            (("ip",), self._here, self._near),
            (("ip", "-n", self._namespace), self._there, self.host),
        ):
            _run(*command, "address", "add", f"{address}/30", "dev", device)
            _run(*command, "link", "set", device, "up")
        _run("ip", "-n", self._namespace, "link", "set", "lo", "up")
        # A burst of 1 ms, but never less than one packet of segmentation offload.
        burst = max(self._megabits * 125, 65_536)
        shape = ("rate", f"{self._megabits}mbit", "burst", str(burst), "latency", "50ms")
        for within, device in (((), self._here), (self.within, self._there)):
            _run(*within, "tc", "qdisc", "add", "dev", device, "root", "tbf", *shape)

    def received(self) -> int:
        """Return how many bytes, Ethernet headers included, have come out of it."""
        return int(Path(f"/sys/class/net/{self._here}/statistics/rx_bytes").read_text())


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)

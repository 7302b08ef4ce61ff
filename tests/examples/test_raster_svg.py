from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

import spikewire

EXAMPLE = Path(__file__).parents[2] / "examples" / "raster_svg.py"
SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_has_the_spikes_of_the_window(server: Any) -> None:
    samples, labels = np.array([0, 1000, 1001, 1499, 1500]), np.array([1, 1, 2, 1, 2])
    sorting = spikewire.NumpySorting.from_samples_and_labels([samples], [labels], 1000.0)
    with spikewire.connect(server.address) as client:
        client.upload(sorting, "examples/raster_svg")
    picture = subprocess.run(
        [sys.executable, EXAMPLE, f"{server.address}/examples/raster_svg", "1", "0.5"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = ElementTree.fromstring(picture).findall(f"{SVG}path")
    assert [row.get("d", "").count("M") for row in rows] == [2, 1]

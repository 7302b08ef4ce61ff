from __future__ import annotations

import itertools
import os

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikewire_server.library.revision import ContentDigest, digest, root_revision, stamp_files

IDS = np.array([1, 2, 300])


def revision(segments, rate=30000.0, ids=IDS, t_starts=None, cut=None):
    content = ContentDigest(len(segments))
    for index, (samples, units) in enumerate(segments):
        samples, units = np.array(samples, np.int64), np.array(units, np.uint8)
        for start in range(0, len(samples), cut or len(samples) or 1):
            part = slice(start, start + (cut or len(samples)))
            content.update(index, samples[part], units[part])
    return content.revision(rate, ids, t_starts or [None] * len(segments))


def test_everything_that_makes_the_spikes_is_covered():
    segments = [([1, 5, 5], [0, 1, 0]), ([2], [2])]
    different = [
        revision(segments),
        revision([([1, 5, 5], [0, 0, 1]), ([2], [2])]),
        revision([([1, 5, 6], [0, 1, 0]), ([2], [2])]),
        revision([([1, 5, 5, 2], [0, 1, 0, 2]), ([], [])]),
        revision([*segments, ([], [])]),
        revision(segments[:1]),
        revision(segments, rate=30001.0),
        revision(segments, ids=IDS.astype(np.int16)),
        revision(segments, ids=IDS + 1),
        revision(segments, ids=IDS.astype(str)),
        revision(segments, t_starts=[0.0, None]),
        revision(segments, t_starts=[None, 0.0]),
    ]
    assert len(set(different)) == len(different)


@given(
    st.lists(st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 2)), max_size=12), max_size=3),
    st.integers(1, 13),
)
def test_the_cut_does_not_matter(segments, cut):
    segments = [([s for s, _ in spikes], [u for _, u in spikes]) for spikes in segments]
    assert revision(segments, cut=cut) == revision(segments)


def test_the_byte_order_and_width_of_columns_do_not_matter():
    first, second = ContentDigest(1), ContentDigest(1)
    first.update(0, np.array([1, 2]), np.array([0, 1], np.uint8))
    second.update(0, np.array([1, 2], ">i8"), np.array([0, 1], ">u4"))
    assert first.revision(1.0, IDS, [None]) == second.revision(1.0, IDS.astype(">i8"), [None])


def test_parts_of_a_digest_do_not_run_together():
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("abc", "")}) == 4


def test_a_stamp_sees_what_can_be_seen(tmp_path):
    files = [tmp_path / "small", tmp_path / "large"]
    files[0].write_bytes(b"abc")
    files[1].write_bytes(bytes(100_000))
    seen = [stamp_files(tmp_path, files)]
    times = [(path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in files]

    def look():
        seen.append(stamp_files(tmp_path, files))

    files[0].write_bytes(b"abd")  # a small file is seen even if its size and time are kept
    os.utime(files[0], ns=times[0])
    look()
    os.utime(files[1], ns=(0, times[1][1] + 1))
    look()
    files[1].write_bytes(bytes(100_001))
    os.utime(files[1], ns=times[1])
    look()
    files[1].rename(tmp_path / "other")
    files[1] = tmp_path / "other"
    look()
    files[1].unlink()
    look()
    assert not any(a.digest == b.digest for a, b in itertools.combinations(seen, 2))
    assert seen[0].newest_ns == max(time for _, time in times)
    assert stamp_files(tmp_path, []).newest_ns == 0


def test_a_time_before_1970_is_a_time_too(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    os.utime(tmp_path / "a", ns=(0, -(10**18)))
    assert stamp_files(tmp_path, [tmp_path / "a"]).digest


def test_reader_rate_and_unit_ids_are_covered(tmp_path):
    stamp = stamp_files(tmp_path, [])
    different = {
        root_revision("phy", None, stamp, b""),
        root_revision("npz", None, stamp, b""),
        root_revision("phy", 1.0, stamp, b""),
        root_revision("phy", None, stamp, b"1"),
    }
    assert len(different) == 4

from __future__ import annotations

import pytest

from spikewire.core.errors import InvalidValueError
from spikewire_server.settings import Root, SamplingRule, Settings


def test_flags_beat_environment_beats_file_beats_defaults(tmp_path):
    file = tmp_path / "spikewire.toml"
    file.write_text('port = 1\nhost = "::1"\nscan_interval = 5\nmax_unit_count = 7\n')
    env = {"SPIKEWIRE_PORT": "2", "SPIKEWIRE_SCAN_INTERVAL": "2.5", "SPIKEWIRE_TEST_DATA": "x"}
    settings = Settings.load({"port": 3, "host": None, "roots": ()}, env, file)
    assert (settings.port, settings.host) == (3, "::1")
    assert (settings.scan_interval, settings.max_unit_count) == (2.5, 7)
    assert settings.memory_bytes == Settings().memory_bytes


def test_roots_from_every_source(tmp_path):
    for name in ("one", "two=2"):
        (tmp_path / name).mkdir()
    one, two = (tmp_path / "one").resolve(), (tmp_path / "two=2").resolve()
    expected = (Root("one", one), Root("lab", two))
    file = tmp_path / "a.toml"
    file.write_text(f"roots = ['{one}', 'lab={two}']\n")
    assert Settings.load({"roots": (str(one), f"lab={two}")}, {}).roots == expected
    assert Settings.load({}, {"SPIKEWIRE_ROOTS": f"{one};lab={two}"}).roots == expected
    assert Settings.load({}, {}, file).roots == expected
    file.write_text(f"[roots]\none = '{one}'\nlab = '{two}'\n")
    assert Settings.load({}, {}, file).roots == expected
    assert Root.parse(str(two)) == Root("two=2", two)


def test_a_root_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for text in (str(tmp_path / "gone"), f"lab={tmp_path / 'gone'}", str(tmp_path / "file")):
        with pytest.raises(InvalidValueError, match=r"--roots: the root .* is not an existing"):
            Settings.load({"roots": [text]}, {})


def test_labels_must_be_names_and_differ(tmp_path):
    for folder in ("a/rat", "b/rat"):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(InvalidValueError, match=r"label 'rat': .*a.rat and .*b.rat"):
        Settings.load({"roots": [str(tmp_path / "a/rat"), str(tmp_path / "b/rat")]}, {})
    with pytest.raises(InvalidValueError, match="needs another label"):
        Root.parse(f"..={tmp_path}")
    with pytest.raises(InvalidValueError, match="needs another label"):
        Root.parse("/")
    with pytest.raises(InvalidValueError, match="slash"):
        Settings(roots=(Root("a/b", tmp_path),))


def test_the_first_rate_that_matches_wins(tmp_path):
    rules = ("lab/rat7/*=30000", "lab/*=24414.0625")
    settings = Settings.load({"sampling_frequency": rules}, {})
    assert settings.sampling_frequency_of("lab/rat7/deep/probe") == 30000.0
    assert settings.sampling_frequency_of("lab/rat8") == 24414.0625
    assert settings.sampling_frequency_of("Lab/rat8") is None
    file = tmp_path / "a.toml"
    file.write_text('[sampling_frequency]\n"lab/rat7/*" = 30000\n"lab/*" = 24414.0625\n')
    assert Settings.load({}, {}, file) == settings
    assert Settings.load({}, {"SPIKEWIRE_SAMPLING_FREQUENCY": ";".join(rules)}) == settings
    assert SamplingRule.parse("a=b=1") == SamplingRule("a=b", 1.0)


@pytest.mark.parametrize("text", ["", "x", "=3", "x=", "x=0", "x=-1", "x=nan", "x=inf", "x=a"])
def test_a_malformed_rate_is_refused(text):
    with pytest.raises(InvalidValueError, match="not GLOB=HZ"):
        Settings.load({"sampling_frequency": [text]}, {})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_leave(host):
    assert Settings(host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "rack1", "localhost.example"])
def test_other_addresses_must_be_said_aloud(host):
    with pytest.raises(InvalidValueError, match="--insecure"):
        Settings(host=host)
    assert Settings(host=host, insecure=True).host == host


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"port": "x"}, "--port: 'x' is not a whole number"),
        ({"port": 1.5}, "--port: 1.5 is not a whole number"),
        ({"port": 70000}, "port 70000"),
        ({"memory_bytes": 0}, "memory_bytes is 0"),
        ({"scan_interval": "soon"}, "'soon' is not a number"),
        ({"scan_interval": "nan"}, "scan_interval is nan"),
        ({"insecure": "perhaps"}, "neither true nor false"),
        ({"roots": "abc"}, "is not a list"),
        ({"store": ""}, "is not a path"),
    ],
)
def test_a_bad_value_names_its_source(flags, message):
    with pytest.raises(InvalidValueError, match=message):
        Settings.load(flags, {})


def test_a_bad_file_is_named(tmp_path):
    file = tmp_path / "a.toml"
    with pytest.raises(InvalidValueError, match=r"a\.toml: cannot be read"):
        Settings.load({}, {}, file)
    file.write_text("port = = 3")
    with pytest.raises(InvalidValueError, match=r"a\.toml: is not TOML"):
        Settings.load({}, {}, file)
    file.write_text("prot = 3")
    with pytest.raises(InvalidValueError, match="no setting 'prot'"):
        Settings.load({}, {}, file)
    file.write_text("port = 'x'")
    with pytest.raises(InvalidValueError, match=r"port in .*a\.toml: 'x'"):
        Settings.load({}, {}, file)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewire.core.errors import InvalidNameError
from spikewire_server.library.names import MAX_NAME_BYTES, check_key, check_name, is_name


@pytest.mark.parametrize(
    "name", ["a", "lab/rat7/2026-11-22/probe0", "Ratte/Müller", "...", "a b", "x" * MAX_NAME_BYTES]
)
def test_good_names_pass_unchanged(name):
    assert check_name(name) is name
    assert is_name(name)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "is empty"),
        ("/a", "empty component"),
        ("a/", "empty component"),
        ("a//b", "empty component"),
        ("a/../b", "component '..'"),
        ("..", "component '..'"),
        ("./a", "component '.'"),
        ("a\nb", "control character, U\\+000A"),
        ("a\x00", "control character, U\\+0000"),
        ("a\x9b", "control character, U\\+009B"),
        ("a\ud800", "half a surrogate pair, U\\+D800"),
        ("a\u2028b", "line separator"),
        ("a\u2029b", "paragraph separator"),
        ("x" * 10_000, "longer than 512 bytes"),
        ("ü" * 257, "longer than 512 bytes"),
        ("Mu\u0308ller", "normalization form C"),
    ],
)
def test_a_refusal_names_the_rule(name, rule):
    with pytest.raises(InvalidNameError, match=rule) as caught:
        check_name(name)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()
    assert not is_name(name)


def test_keys_are_freer_than_names():
    for key in ("a//b/..", "Mu\u0308ller"):
        assert check_key(key) is key
    with pytest.raises(InvalidNameError, match="the key '' is empty"):
        check_key("")
    with pytest.raises(InvalidNameError, match="control"):
        check_key("a\tb")


@given(st.text(alphabet=st.characters(), max_size=600))
def test_any_text_is_a_safe_name_or_refused(text):
    if not is_name(text):
        return
    assert len(text.encode()) <= MAX_NAME_BYTES
    assert not {"", ".", ".."} & set(text.split("/"))
    assert not any(ord(character) < 32 for character in text)

"""Addresses of servers and of sortings on them."""

from __future__ import annotations

import pytest

from spikewire.core.dump import SortingReference
from spikewire.core.errors import DumpError, InvalidTypeError, InvalidValueError
from spikewire.remote.references import from_server, to_server
from spikewire.remote.target import parse_target, parse_url


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("rack", "rack", 7745, "rack:7745"),
        ("rack.lab:80", "rack.lab", 80, "rack.lab:80"),
        ("10.0.0.7", "10.0.0.7", 7745, "10.0.0.7:7745"),
        ("::1", "::1", 7745, "[::1]:7745"),
        ("[fe80::2]:9", "fe80::2", 9, "[fe80::2]:9"),
        ("Rack:0", "rack", 0, "rack:0"),
    ],
)
def test_targets(text, host, port, shown):
    target = parse_target(text)
    assert (target.host, target.port, str(target)) == (host, port, shown)
    assert parse_target(shown) == target


@pytest.mark.parametrize(
    "text",
    ["", ":7745", "rack:port", "rack:70000", "a/b", "me@rack", "http://rack", "[::1", "a b?"],
)
def test_what_is_no_target_is_refused(text):
    with pytest.raises(InvalidValueError, match="address"):
        parse_target(text)
    with pytest.raises(InvalidTypeError):
        parse_target(7745)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a", "lab/rat 7/probe#0", "ü/100%?x=y", "a//b"])
def test_urls_hold_any_name(name):
    target = parse_target("rack:1")
    assert parse_url(target.url(name)) == (target, name)


@pytest.mark.parametrize(
    "url", ["spikewire://rack", "spikewire://rack/", "http://rack/a", "rack/a"]
)
def test_what_is_no_url_is_refused(url):
    with pytest.raises(InvalidValueError):
        parse_url(url)


def test_names_of_this_machine_mean_one_server():
    assert parse_target("localhost:5").is_same_server(parse_target("127.0.0.1:5"))
    assert parse_target("::1").is_same_server(parse_target("localhost"))
    assert not parse_target("localhost:5").is_same_server(parse_target("localhost:6"))
    assert not parse_target("localhost").is_same_server(parse_target("rack"))


def remote_dump(target, name="a/b", revision="r1"):
    return {
        "class": "spikewire.bridges.spikeinterface.RemoteSorting",
        "module": "spikewire",
        "kwargs": {"target": target, "name": name, "revision": revision},
        "version": "0.105.3",
        "annotations": {},
        "properties": {},
        "relative_paths": False,
    }


def view_dump(**kwargs):
    return remote_dump("x") | {"class": "view.Class", "kwargs": kwargs}


SERVER = parse_target("localhost")


def test_sortings_of_the_server_become_references():
    inner = view_dump(parent_sorting=remote_dump("127.0.0.1:7745"))
    dump = view_dump(sorting_list=[inner, remote_dump("localhost", revision=None)], by={"k": inner})
    sent = to_server(dump, SERVER)
    listed, reference = sent["kwargs"]["sorting_list"]
    assert listed["kwargs"]["parent_sorting"] == SortingReference("a/b", "r1")
    assert sent["kwargs"]["by"]["k"] == listed
    assert reference == SortingReference("a/b", "")


def test_references_become_sortings_that_load_here():
    sent = to_server(view_dump(sorting_list=[remote_dump("localhost:7745")]), SERVER)
    back = from_server(sent, SERVER)
    assert back["kwargs"]["sorting_list"] == [remote_dump("localhost:7745")]


def test_a_remote_sorting_itself_is_sent_without_its_address():
    sent = to_server(remote_dump("localhost"), SERVER)
    assert sent["kwargs"] == {"name": "a/b", "revision": "r1"}
    assert from_server(sent, SERVER)["kwargs"]["target"] == "localhost:7745"


@pytest.mark.parametrize(
    "dump",
    [
        view_dump(parent_sorting=remote_dump("elsewhere")),
        remote_dump("elsewhere"),
        remote_dump("localhost") | {"kwargs": {}},
        remote_dump("localhost") | {"kwargs": None},
        view_dump() | {"kwargs": 7},
    ],
)
def test_dumps_that_the_server_cannot_mean_are_refused(dump):
    with pytest.raises(DumpError):
        to_server(dump, SERVER)

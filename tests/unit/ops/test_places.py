"""Folders, ports and accounts of private services."""

import random
import socket
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.services import places
from ops.services.isolation import with_path


def test_a_free_port_can_be_listened_on() -> None:
    with socket.socket() as listener:
        listener.bind((places.HOST, places.free_port()))


def test_a_port_stays_out_of_the_range_of_outgoing_connections(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ephemeral = tmp_path / "ip_local_port_range"
    ephemeral.write_text("20000\t60999\n")
    monkeypatch.setattr(places, "_EPHEMERAL_RANGE", ephemeral)

    assert all(places.free_port() < 20000 for _ in range(50))


@pytest.mark.parametrize("content", ["1024\t65535\n", "unreadable"])
def test_where_that_range_covers_everything_the_system_chooses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    ephemeral = tmp_path / "ip_local_port_range"
    ephemeral.write_text(content)
    monkeypatch.setattr(places, "_EPHEMERAL_RANGE", ephemeral)

    assert places.free_port() > 0


def test_a_folder_below_a_closed_one_is_not_reachable_for_all(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "open").mkdir(parents=True)
    closed.chmod(0o700)

    assert not places.reachable_for_all(closed / "open")
    assert places.reachable_for_all(Path("/"))


def test_an_ordinary_user_runs_services_as_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    assert places.account("postgres") is None


@pytest.mark.parametrize(("preferred", "expected"), [("daemon", "daemon"), ("no-such-user", "nobody")])
def test_root_runs_services_as_somebody_else(monkeypatch: pytest.MonkeyPatch, preferred: str, expected: str) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)

    assert places.account(preferred) == expected


@given(name=st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_name_survives_in_the_path_of_a_url(name: str) -> None:
    url = with_path("amqp://user:secret@127.0.0.1:5672/%2F", name)

    assert unquote(urlsplit(url).path.removeprefix("/")) == name
    assert url.startswith("amqp://user:secret@127.0.0.1:5672/")


def test_programs_that_share_a_seed_draw_different_ports() -> None:
    state = random.getstate()
    first = [places.free_port() for _ in range(10)]

    random.setstate(state)

    assert [places.free_port() for _ in range(10)] != first

"""MT5_SESSIONS: several terminals of one account. What a session leaves out is the common setting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from worker.bootstrap import terminal_pool
from worker.domain.errors import WrongSetting
from worker.settings import Settings, read_settings

A, B = r"C:\MT5-a\terminal64.exe", r"C:\MT5-b\terminal64.exe"


def native(sessions: object = None, **more: Any) -> Settings:
    """Return settings of native terminals, with the common login data."""
    common = {"mt5_login": 7, "mt5_password": "secret", "mt5_server": "S", "_env_file": None}
    given = None if sessions is None else json.dumps(sessions)
    return read_settings(**({"mt5_backend": "native", "mt5_sessions": given} | common | more))


def test_without_it_there_is_one_terminal_with_the_common_settings() -> None:
    pool = terminal_pool(native(mt5_terminal=A))
    opening = pool.sessions["main"]._opening
    assert (opening.terminal, opening.login, opening.password, opening.server) == (A, 7, "secret", "S")
    assert list(pool.sessions) == ["main"]


def test_what_a_session_leaves_out_is_taken_from_the_common_settings() -> None:
    settings = native({"asks": {"terminal": A}, "sends": {"terminal": B, "password": "other", "portable": True}})

    openings = {name: session._opening for name, session in terminal_pool(settings).sessions.items()}

    assert list(openings) == ["asks", "sends"]
    asks, sends = openings["asks"], openings["sends"]
    assert (asks.terminal, asks.login, asks.password, asks.portable) == (A, 7, "secret", False)
    assert (sends.terminal, sends.login, sends.password, sends.portable) == (B, 7, "other", True)
    assert {one.server for one in openings.values()} == {"S"}


def test_a_command_s_sessions_are_not_the_worker_s() -> None:
    settings = native({"a": {"terminal": A}, "b": {"terminal": B}})
    pool = terminal_pool(settings, "doctor")
    assert list(pool.sessions) == ["doctor-a", "doctor-b"]


def test_only_the_worker_restarts_a_terminal() -> None:
    settings = native({"a": {"terminal": A}, "b": {"terminal": B}})
    # A canary opens the terminals under the worker's own names, and ends none of them.
    for pool in (terminal_pool(settings), terminal_pool(settings, "doctor")):
        assert not any(session._opening.can_restart for session in pool.sessions.values())
    workers = terminal_pool(settings, restarts_terminal=True)
    assert all(session._opening.can_restart for session in workers.sessions.values())


def test_simulated_sessions_share_one_book_and_need_no_terminal(tmp_path: Path) -> None:
    book = tmp_path / "book.sqlite"
    settings = read_settings(
        mt5_backend="simulated", mt5_sessions='{"a": {}, "b": {}}', mt5_simulated_book=book, _env_file=None
    )
    openings = [session._opening for session in terminal_pool(settings).sessions.values()]
    assert {one.book for one in openings} == {book}
    assert len({one.sender for one in openings}) == 2


@pytest.mark.parametrize(
    ("sessions", "told"),
    [
        ({}, "MT5_SESSIONS: Dictionary should have at least 1 item"),
        ({"a b": {}}, "MT5_SESSIONS: session 'a b': a name is made of letters"),
        ({"a": {"terminal": A, "pasword": "x"}}, "MT5_SESSIONS.A.PASWORD: Extra inputs are not permitted"),
        ({"a": {"terminal": A}, "b": {}}, "session b has no terminal; name the path of its terminal64.exe"),
        (
            {"a": {"terminal": A}, "b": {"terminal": "c:/mt5-A/./Terminal64.exe"}},
            "sessions a and b share one terminal; each needs its own",
        ),
        (
            {"a": {"terminal": A}, "b": {"terminal": B, "login": 8}},
            "session b has login 8, session a 7; all are of one account",
        ),
        (
            {"a": {"terminal": A}, "b": {"terminal": B, "server": "T"}},
            "session b has server T, session a S; all are of one account",
        ),
    ],
)
def test_what_cannot_be_meant_is_told_with_the_session_s_name(sessions: object, told: str) -> None:
    with pytest.raises(WrongSetting) as error:
        native(sessions)
    assert told in str(error.value)
    assert "secret" not in str(error.value)


def test_a_native_terminal_is_named_by_its_full_path() -> None:
    with pytest.raises(WrongSetting, match=r"write the full path of terminal64\.exe"):
        terminal_pool(native(mt5_terminal="terminal64.exe"))

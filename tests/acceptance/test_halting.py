"""An operator halts the account or a symbol while trades pour in, keeps trades waiting, and lets them go on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.faults.tables import read_tables
from tests.fixtures.rpm import JsonObject, Sent, approval

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY", "XAUUSD")
MAX_AGE_SECONDS = 60
DRAIN_SECONDS = 20
ENOUGH = 20  # orders of a burst that are sent before its halt, and trades that come after it
AHEAD = 40  # trades under way at the same moment


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(MAX_TRADE_AGE_SECONDS=str(MAX_AGE_SECONDS), DRAIN_TIMEOUT_SECONDS=str(DRAIN_SECONDS)) as desk:
        yield desk


@pytest.fixture(autouse=True)
def resumed(desk: Desk) -> Iterator[None]:
    """Leave nothing halted behind."""
    yield
    (account,) = read_tables(desk.settings["POSTGRES_URL"], desk.account).accounts
    for symbols in filter(None, ([None] * account["halted"], list(account["symbol_halts"]))):
        _say(desk, "resume", *_named([symbol for symbol in symbols if symbol]))


@pytest.mark.parametrize("halted", [(), ("EURUSD", "XAUUSD")], ids=["account", "two symbols"])
def test_no_order_is_sent_after_a_halt_in_the_middle_of_a_burst(desk: Desk, halted: tuple[str, ...]) -> None:
    # Given trades that come as fast as they can be published, of which some are sent already
    before = _tickets(desk)
    with _a_burst(desk) as burst:
        eventually(lambda: len(_tickets(desk) - before) > ENOUGH, "the burst is not traded")
        # When an operator halts, and they go on coming for a while
        said = _say(desk, "halt", *_named(halted))
        desk.downstream.wait_for_count(len(desk.downstream.received) + ENOUGH)
    told = {one.correlation_id: one for one in desk.downstream.received}
    ends = [told[sent.correlation] for sent in burst]

    # Then what the halt stands for was sent before it, by the broker's own book, or is rejected in its words
    assert "is halted: nothing new is sent" in said
    began = {halt["payload"]["symbol"]: halt["at"] for halt in _events(desk, "halted")[-max(1, len(halted)) :]}
    assert [symbol or "account" for symbol in began] == (sorted(halted) or ["account"])
    sent_at = _sent_at(desk)
    for end in ends:
        halt = began.get(end["symbol"] if halted else None)
        if end.outcome == ("filled", None):
            assert halt is None or sent_at.pop(end["order_id"]) < halt
        else:
            assert end.outcome == ("rejected", "trading_halted")
            assert "halted by ann: a test" in end["rejection_details"]
    assert {end["symbol"] for end in ends if end["status"] == "rejected"} == set(halted or SYMBOLS)
    # And of what was rejected the broker has nothing
    assert _tickets(desk) - before == {end["order_id"] for end in ends if end["status"] == "filled"}


class TestHold:
    """Trades wait, and what becomes of them is decided when the halt ends, or when they are too old."""

    def test_held_trades_outlive_the_worker_and_go_on_in_their_order(self, desk: Desk) -> None:
        # Given a symbol whose trades are kept waiting; other symbols do not wait for them
        _say(desk, "halt", "--symbol", "EURUSD", "--hold")
        held = [desk.publish(_trade("EURUSD")) for _ in range(5)]
        assert desk.confirmed(_trade("GBPUSD")).outcome == ("filled", None)
        _wait_for_held(desk, {"EURUSD": 5})
        before = _tickets(desk)

        # When the worker is killed, another one takes over, and is stopped in order: it does not wait for held trades
        desk.worker.kill()
        desk.start()
        _wait_for_held(desk, {"EURUSD": 5})
        began = time.monotonic()
        assert desk.worker.stop() == 0
        assert time.monotonic() - began < DRAIN_SECONDS / 2
        desk.start()
        _wait_for_held(desk, {"EURUSD": 5})

        # Then nothing was sent until the halt is lifted: they go on by themselves, in the order of their arrival
        assert _tickets(desk) == before
        assert "EURUSD of account main trades again" in _say(desk, "resume", "--symbol", "EURUSD")
        ends = [desk.ended(sent) for sent in held]
        assert [end.outcome for end in ends] == [("filled", None)] * 5
        assert sorted(ends, key=lambda end: int(end["order_id"])) == ends

    def test_a_held_trade_expires_with_its_approval(self, desk: Desk) -> None:
        _say(desk, "halt", "--hold")

        end = desk.confirmed(approval("EURUSD", 1_000.0, age=MAX_AGE_SECONDS - 1))

        assert end.outcome == ("expired", "approval_expired")
        assert "it was kept waiting: halted by ann: a test" in end["rejection_details"]
        assert not end["attempts"]

    def test_the_stricter_of_two_halts_decides_and_each_is_lifted_by_itself(self, desk: Desk) -> None:
        # Given the account on hold, and two trades that wait
        _say(desk, "halt", "--hold")
        euro, yen = desk.publish(_trade("EURUSD")), desk.publish(_trade("USDJPY"))
        _wait_for_held(desk, {"EURUSD": 1, "USDJPY": 1})

        # When one symbol is halted for good as well, then its trade is rejected for that
        _say(desk, "halt", "--symbol", "USDJPY")
        end = desk.ended(yen)
        assert end.outcome == ("rejected", "trading_halted")
        assert end["rejection_details"] == "USDJPY is halted by ann: a test"

        # And the other one goes on waiting, until the hold is turned into a rejection
        assert "account main stays halted" in _say(desk, "resume", "--symbol", "USDJPY")
        _wait_for_held(desk, {"EURUSD": 1})
        _say(desk, "halt")
        assert desk.ended(euro).outcome == ("rejected", "trading_halted")


def _trade(symbol: str) -> JsonObject:
    return approval(symbol, _SMALLEST[symbol])


_SMALLEST = {"EURUSD": 1_000.0, "GBPUSD": 1_000.0, "USDJPY": 1_000.0, "XAUUSD": 1.0}  # units


@contextmanager
def _a_burst(desk: Desk) -> Iterator[Sequence[Sent]]:
    """Publish trades of all symbols as long as the block lasts, always so many ahead of what is confirmed."""
    burst, ending, before = list[Sent](), threading.Event(), len(desk.downstream.received)

    def publish() -> None:
        for symbol in cycle(SYMBOLS):
            if ending.is_set():
                return
            burst.append(desk.publish(_trade(symbol)))
            desk.downstream.wait_for_count(before + len(burst) - AHEAD)

    publishing = threading.Thread(target=publish)
    publishing.start()
    try:
        yield burst
    finally:
        ending.set()
        publishing.join()
        desk.downstream.wait_for_count(before + len(burst))


def _say(desk: Desk, *arguments: str) -> str:
    done = desk.command(*arguments, "--reason", "a test", "--by", "ann")
    assert done.code == 0, done.said
    return done.out


def _named(symbols: Sequence[str]) -> list[str]:
    return [word for symbol in symbols for word in ("--symbol", symbol)]


def _wait_for_held(desk: Desk, held: dict[str, int]) -> None:
    """Wait until so many trades of each symbol wait, as the worker tells with its lease."""

    def reported() -> object:
        (account,) = read_tables(desk.settings["POSTGRES_URL"], desk.account).accounts
        return account["worker_report"].get("held")

    eventually(lambda: reported() == held, f"not these are held: {held}")


def _tickets(desk: Desk) -> set[str]:
    return {str(order["ticket"]) for order in desk.book.rows("orders")}


def _sent_at(desk: Desk) -> dict[str, datetime]:
    """Return when the broker got each order: its times are its server's wall clock."""
    (about,) = desk.book.rows("meta")
    offset = 1000 * about["server_offset_seconds"]
    return {
        str(order["ticket"]): datetime.fromtimestamp((order["time_setup_msc"] - offset) / 1000, UTC)
        for order in desk.book.rows("orders")
    }


def _events(desk: Desk, kind: str) -> list[dict[str, Any]]:
    events = read_tables(desk.settings["POSTGRES_URL"], desk.account).audit_events
    return [
        {"at": datetime.fromisoformat(event["at"]), "payload": json.loads(event["payload"])}
        for event in events
        if event["kind"] == kind
    ]

"""What the desk finds letters by, how they hang together, and what it does with those that cannot be stored."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.services import Services
from tests.fixtures.services import new_ledger
from tests.integration.ledger.conftest import OpenLedger, user_of
from tests.integration.ledger.stories import (
    AN_ORDER,
    NOON,
    RealClock,
    a_letter,
    a_message,
    a_refusal,
    an_arrival,
    failed,
    written_ahead,
)
from worker.domain.errors import NotFound, NotStorable, Refused
from worker.domain.message import IncomingMessage
from worker.ledger import archive, desk, letter_exchange
from worker.ledger.archive import DISCARD, RESTORE, Move, move
from worker.ledger.connection import Connection
from worker.ledger.desk import LetterFilter, LetterLine, dead_letters, letters_to_change
from worker.ledger.ledger import PostgresLedger
from worker.ledger.letter_exchange import exported, take_over
from worker.ledger.letter_file import LetterInFile, letters_in
from worker.ledger.letter_story import LetterStory, letter_story
from worker.ledger.operators import operator
from worker.ledger.replays import replay
from worker.ledger.schema import all_migrations, migrate
from worker.ledger.status import status
from worker.ports import DeadLetter

pytestmark = pytest.mark.services

SHAPES = "select coalesce(ledger.shape_of(%s::text), ''), coalesce(ledger.shape_of(%s::text), '')"
PRINTS = "select ledger.fingerprint_of(%(reason)s, %(exception)s, %(detail)s, %(symbol)s)"

words = st.text(st.characters(categories=["L"], max_codepoint=0x17F), min_size=1, max_size=8)
sentences = st.lists(words, min_size=1, max_size=6)
values = st.one_of(
    st.integers().map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.uuids().map(str),
    st.datetimes().map(datetime.isoformat),
    words.map(lambda word: f"'{word} of it'"),
    words.map(json.dumps),
    st.just("RPM-20260302-000042"),
)


Plain = psycopg.Connection[tuple[str, ...]]


@pytest.fixture(scope="module")
def plain(services: Services) -> Iterator[Plain]:
    """Connect without a loop, which Hypothesis cannot use, to a ledger that nothing is written in."""
    name = f"desk_{secrets.token_hex(5)}"
    url = new_ledger(services, name)
    asyncio.run(migrate(url))
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
    services.drop_database(name)


class TestFingerprint:
    def test_values_make_no_difference_and_words_do(self, plain: Plain) -> None:
        @given(sentences, st.data())
        def holds(sentence: list[str], data: st.DataObject) -> None:
            place = data.draw(st.integers(0, len(sentence)))
            one, other = (" ".join([*sentence[:place], data.draw(values), *sentence[place:]]) for _ in range(2))
            row = plain.execute(SHAPES, [one, other]).fetchone()
            assert row is not None
            shape, other_shape = row
            assert shape == other_shape
            assert shape == " ".join([*sentence[:place], "*", *sentence[place:]])

        holds()

    @pytest.mark.parametrize(
        ("detail", "shape"),
        [
            ("units 5 is below 10,5 lots", "units * is below * lots"),
            ("RPM's clock is 12.5 s ahead of the worker's", "RPM's clock is * s ahead of the worker's"),
            ('unexpected "a \\" b" at line 3', "unexpected * at line *"),
            ("routing key was 'hello world'", "routing key was *"),
            ("", ""),
            (" \n\t ", ""),
        ],
    )
    def test_what_is_left_of_a_detail(self, plain: Plain, detail: str, shape: str) -> None:
        assert plain.execute("select ledger.shape_of(%s)", [detail]).fetchone() == (shape,)

    def test_reason_and_exception_count(self, plain: Plain) -> None:
        known: dict[str, str | None] = {"reason": "a", "exception": None, "detail": "b of EURUSD", "symbol": "EURUSD"}
        others = [known, known | {"reason": "x"}, known | {"exception": "x"}, known | {"detail": "x"}]

        prints = [plain.execute(PRINTS, one).fetchone() for one in others]

        assert len(set(prints)) == len(others)
        assert prints[0] == plain.execute(PRINTS, known).fetchone()

    @pytest.mark.parametrize("symbol", ["GBPUSD", "EURUSD.a-b", "*"])
    def test_the_symbol_makes_no_difference(self, plain: Plain, symbol: str) -> None:
        one, other = (
            {"reason": "a", "exception": None, "detail": f"order of {name} is gone", "symbol": name}
            for name in ("USDJPY", symbol)
        )

        assert plain.execute(PRINTS, one).fetchone() == plain.execute(PRINTS, other).fetchone()

    def test_a_hostile_detail_costs_little(self, plain: Plain) -> None:
        plain.execute("set statement_timeout = '2s'")
        for detail in ("'" * 4000, '"\\' * 2000, "1 " * 2000, "a" * 4000, "'a" * 2000):
            plain.execute("select ledger.shape_of(%s)", [detail])


@pytest.mark.parametrize(
    ("body", "routing_key", "symbol"),
    [
        (b'{"decision": {"approved_trade": {"symbol": "GBPUSD"}}}', "approved.main.EURUSD", "GBPUSD"),
        (b'{"decision": {"approved_trade": null, "rejected_trade": {"symbol": "X.y"}}}', "", "X.y"),
        (b'{"decision": {"approved_trade": {"symbol": {"a": 1}}}}', "approved.main.EURUSD.slow", "EURUSD.slow"),
        (b"[1, 2]", "approved.main.EURUSD", "EURUSD"),
        (b"\xff\x00", "approved.main", None),
        (b"[" * 100_000, "hello", None),
        (b'{"decision": {"approved_trade": {"symbol": "' + b"A" * 5000 + b'"}}}', "", "A" * 64),
    ],
)
def test_a_letter_is_found_by_the_symbol_of_its_body_else_of_its_routing_key(
    plain: Plain, body: bytes, routing_key: str, symbol: str | None
) -> None:
    assert plain.execute("select ledger.symbol_of(%s, %s)", [body, routing_key]).fetchone() == (symbol,)


async def test_letters_that_are_older_than_the_desk_are_found_like_any_other(
    database: Connection, ledger: PostgresLedger, ledger_url: str
) -> None:
    first = await _failed_letter(ledger)
    second = await _failed_replay(ledger, ledger_url, first)
    before = await _lines(ledger_url)

    await database.execute("alter table ledger.dead_letters drop column symbol, drop column exception")
    await database.execute("drop function ledger.letters_that_fit, ledger.grant_rights_0005")
    await database.execute(
        "alter table ledger.dead_letters drop column fingerprint, drop column follows, drop column imported_by,"
        " alter column failed_at drop not null"
    )
    await database.execute("drop function ledger.fingerprint_of, ledger.shape_of, ledger.symbol_of, ledger.text_of")
    await database.execute("drop index ledger.dead_letters_by_time")
    [desk_migration] = [one for one in all_migrations() if one.name == "0005_desk"]
    await database.execute(desk_migration.script.encode())

    assert await _lines(ledger_url) == before
    assert {line.id: line.follows for line in before} == {first.letter_id: None, second.letter_id: first.letter_id}


async def test_a_letter_names_the_one_whose_replay_failed_with_it_however_often(
    ledger: PostgresLedger, ledger_url: str
) -> None:
    first = await _failed_letter(ledger)
    second = await _failed_replay(ledger, ledger_url, first)
    third = await _failed_replay(ledger, ledger_url, second)

    async with operator(ledger_url, RealClock()) as seat:
        story = await letter_story(seat, second.letter_id)

    assert [line.id for line in story.failures] == [first.letter_id, second.letter_id, third.letter_id]
    assert [line.follows for line in story.failures] == [None, first.letter_id, second.letter_id]
    assert [line.state for line in story.failures] == ["failed_again", "failed_again", "new"]
    assert [one.letter_id for one in story.replays] == [first.letter_id, second.letter_id]

    # And only the last one waits for a person: to replay each of them would double them every time
    async with operator(ledger_url, RealClock()) as seat:
        open_ = LetterFilter(states=["new", "failed_again"], latest=True)
        assert [letter.id for letter in await letters_to_change(seat, open_)] == [third.letter_id]
        assert (await status(seat, "main")).dead_letters_by_reason == {third.reason: 1}
    assert (await ledger.backlog()).dead_letters == {third.reason: 1}


async def test_a_letter_for_an_account_without_a_worker_is_told_of_by_whoever_took_it_in(
    ledger: PostgresLedger, open_ledger: OpenLedger, ledger_url: str
) -> None:
    await open_ledger("other", "host:2")
    for account in ("nobody", "other", None):
        await ledger.take_in(replace(a_letter(), account=account), None)

    async with operator(ledger_url, RealClock()) as seat:
        told = [sum((await status(seat, account)).dead_letters_by_reason.values()) for account in ("main", "other")]

    assert told == [2, 1]
    assert sum((await ledger.backlog()).dead_letters.values()) == 2


async def test_a_message_that_is_refused_again_names_its_letter(ledger: PostgresLedger, ledger_url: str) -> None:
    first = a_letter(a_message(body=b"{"))
    await ledger.take_in(first, None)
    delivered = await _replayed(ledger, ledger_url, first)
    refused = a_refusal(delivered)
    await ledger.refuse(refused)
    second = replace(a_letter(delivered), execution_id=refused.execution_id, failed_at=datetime.now(UTC))
    await ledger.take_in(second, None)

    story = await _story(ledger_url, first.letter_id)

    assert [line.id for line in story.failures] == [first.letter_id, second.letter_id]
    assert story.failures[1].follows == first.letter_id


async def test_a_refused_message_with_the_id_of_a_trade_is_not_that_trade(
    ledger: PostgresLedger, ledger_url: str
) -> None:
    trade = await _failed_letter(ledger)
    refused = replace(a_letter(), reason="schema_invalid", trade_id="RPM-1")
    await ledger.take_in(refused, None)

    story = await _story(ledger_url, refused.letter_id)

    assert str(story.at_broker).startswith(
        "no: it never became a trade, nothing was sent; of the trade that has its id"
    )
    assert {line.id for line in story.failures} == {trade.letter_id, refused.letter_id}


async def test_no_letter_failed_in_the_future(ledger: PostgresLedger, ledger_url: str) -> None:
    await ledger.take_in(replace(a_letter(), failed_at=datetime(9000, 1, 1, tzinfo=UTC)), None)

    [line] = await _lines(ledger_url)
    assert line.failed_at == line.taken_in_at


async def test_what_postgresql_refuses_for_what_it_is_is_told_from_an_outage_and_stops_nobody(
    ledger: PostgresLedger, ledger_url: str, database: Connection
) -> None:
    await database.execute("alter table ledger.dead_letters add check (body <> 'poison')")
    poison, good = a_letter(a_message(body=b"poison")), a_letter()

    poisoned, taken = await asyncio.gather(
        ledger.take_in(poison, None), ledger.take_in(good, None), return_exceptions=True
    )

    assert isinstance(poisoned, NotStorable)
    assert taken is True
    assert [line.id for line in await _lines(ledger_url)] == [good.letter_id]


async def test_what_is_too_much_for_postgresql_is_no_outage_either(
    ledger: PostgresLedger, database: Connection
) -> None:
    await database.execute("create index on ledger.dead_letters (detail)")
    incompressible = "".join(str(uuid4()) for _ in range(200))

    with pytest.raises(NotStorable, match="index row"):
        await ledger.take_in(replace(a_letter(), detail=incompressible), None)


async def test_an_operator_may_put_away_take_out_and_import_and_no_more(
    ledger: PostgresLedger, ledger_url: str, database: Connection
) -> None:
    letter = a_letter()
    await ledger.take_in(letter, None)
    url = await user_of(database, ledger_url, role="mt5_operator")

    async with operator(url, RealClock()) as seat:
        assert await move(seat, Move(DISCARD, "ann", "a test"), [letter.letter_id]) == [letter.letter_id]
        assert await move(seat, Move(DISCARD, "bob", "too late"), [letter.letter_id]) == []
        assert await move(seat, Move(RESTORE, "bob", "needed"), [letter.letter_id]) == [letter.letter_id]
        [line] = [line async for line in exported(seat, LetterFilter())]
        other = line.replace(str(letter.letter_id).encode(), str(uuid4()).encode())
        assert await take_over(seat, "main", _letters(line + other), "ann") == 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await seat.connection.execute("update ledger.dead_letters set body = 'x'")


async def test_letters_of_several_desks_are_changed_each_under_its_own_account_in_small_steps(
    open_ledger: OpenLedger, ledger_url: str, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "CHUNK", 2)
    letters = [a_letter() for _ in range(5)]
    for account, own in (("main", letters[:3]), ("side", letters[3:])):
        ledger = await open_ledger(account)
        for letter in own:
            await ledger.take_in(letter, None)
    seen: list[tuple[int, int]] = []

    async with operator(ledger_url, RealClock()) as seat:
        with pytest.raises(NotFound, match="there is no dead letter"):
            await move(seat, Move(DISCARD, "ann", "x"), [letters[0].letter_id, uuid4()])
        found = [letter.id for letter in await letters_to_change(seat, LetterFilter(states=["new"]))]
        moved = await move(seat, Move(DISCARD, "ann", "x"), found, lambda done, of: seen.append((done, of)))

    assert set(moved) == {letter.letter_id for letter in letters}
    assert seen == [(2, 5), (3, 5), (5, 5)]
    cursor = await database.execute(
        "select account, count(*) from ledger.audit_events where kind = 'letter_discarded' group by 1 order by 1"
    )
    assert [tuple(row.values()) for row in await cursor.fetchall()] == [("main", 3), ("side", 2)]


async def test_a_change_of_too_many_is_refused(
    ledger: PostgresLedger, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MOST_LETTERS", 1)
    first, second = (replace(a_letter(), failed_at=NOON + timedelta(seconds=one)) for one in (1, 2))
    for letter in (second, first):
        await ledger.take_in(letter, None)

    async with operator(ledger_url, RealClock()) as seat:
        with pytest.raises(Refused, match="narrow the filter, or take some with --limit"):
            await letters_to_change(seat, LetterFilter())
        assert [one.id for one in await letters_to_change(seat, LetterFilter(), 1)] == [first.letter_id]


async def test_an_export_goes_page_by_page_and_misses_none(
    ledger: PostgresLedger, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter_exchange, "PAGE_LETTERS", 3)
    monkeypatch.setattr(letter_exchange, "PAGE_BYTES", 100)
    letters = [a_letter(a_message(body=b"x" * (10 + 60 * (number % 3)))) for number in range(8)]
    for letter in letters:
        await ledger.take_in(letter, None)

    async with operator(ledger_url, RealClock()) as seat:
        lines = [line async for line in exported(seat, LetterFilter())]

    found = {one.letter_id: one.body for one in _letters(b"".join(lines))}
    assert len(lines) == 8
    assert found == {letter.letter_id: letter.message.body for letter in letters}


def _letters(lines: bytes) -> list[LetterInFile]:
    found = [letter for _, letter in letters_in(io.BytesIO(lines))]
    assert all(isinstance(letter, LetterInFile) for letter in found), found
    return [letter for letter in found if isinstance(letter, LetterInFile)]


async def _failed_letter(ledger: PostgresLedger) -> DeadLetter:
    execution = await ledger.record(written_ahead((await ledger.admit(an_arrival())).execution))
    await ledger.record(failed(execution))
    letter = replace(
        a_letter(execution.message), reason="network_error", trade_id="RPM-1", execution_id=execution.execution_id
    )
    await ledger.take_in(letter, None)
    return letter


async def _failed_replay(ledger: PostgresLedger, ledger_url: str, before: DeadLetter) -> DeadLetter:
    """Replay a letter's trade, which fails again; its new letter carries the headers of the first message."""
    delivered = await _replayed(ledger, ledger_url, before)
    reopened = (await ledger.admit(an_arrival(message=delivered))).execution
    await ledger.record(failed(await ledger.record(written_ahead(reopened))))
    letter = replace(before, letter_id=uuid4(), failed_at=datetime.now(UTC))
    await ledger.take_in(letter, None)
    return letter


async def _replayed(ledger: PostgresLedger, ledger_url: str, letter: DeadLetter) -> IncomingMessage:
    async with operator(ledger_url, RealClock()) as seat:
        await replay(seat, letter.letter_id, AN_ORDER)
    rows = await ledger.outbox.pending(100)
    sent = next(row.message for row in reversed(rows) if row.message.kind == "replay")
    return a_message(body=sent.body, exchange=sent.exchange, routing_key=sent.routing_key, headers=sent.headers)


async def _story(ledger_url: str, letter_id: UUID) -> LetterStory:
    async with operator(ledger_url, RealClock()) as seat:
        return await letter_story(seat, letter_id)


async def _lines(ledger_url: str) -> list[LetterLine]:
    async with operator(ledger_url, RealClock()) as seat:
        return list(await dead_letters(seat, LetterFilter(), 100))

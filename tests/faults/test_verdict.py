"""The verdict finds what it is there to find: a clean run is clean, and every forgery of the same run is told."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from ops.services import Services
from tests.acceptance.desk import open_desk
from tests.acceptance.runs import trades
from tests.faults.verdict import Verdict, judge, wait_until_quiet
from tests.fixtures.book import Book
from tests.fixtures.rpm import Sent
from tests.fixtures.services import new_ledger
from tests.fixtures.subscriber import Confirmation

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

TRADES = 10


@dataclass(frozen=True)
class Run:
    """A run that has come to rest, and all that was seen of it."""

    published: Sequence[Sent]
    received: Sequence[Confirmation]
    book: Path
    postgres_url: str

    def verdict(self) -> Verdict:
        return judge(
            "main", self.published, book=Book(self.book), received=self.received, postgres_url=self.postgres_url
        )


@pytest.fixture(scope="module")
def run(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    name, folder = f"verdict_{secrets.token_hex(4)}", tmp_path_factory.mktemp("verdict")
    amqp_url, postgres_url = services.new_vhost(name), new_ledger(services, name)
    with open_desk(amqp_url, postgres_url, folder) as desk:
        published = [desk.publish(message) for message in trades(TRADES)]
        published.append(desk.publish(published[0].body))
        for sent in published:
            desk.confirmation(sent)
        wait_until_quiet(postgres_url, "main")
        assert desk.worker.stop() == 0
        yield Run(published, desk.downstream.received, Path(desk.settings["MT5_SIMULATED_BOOK"]), postgres_url)
    services.delete_vhost(name)
    services.drop_database(name)


@pytest.fixture
def forged_book(run: Run, tmp_path: Path) -> Callable[[str], Run]:
    """Change the book with these statements, in a copy."""

    def forge(statements: str) -> Run:
        copy = shutil.copy(run.book, tmp_path / "forged.sqlite")
        with closing(sqlite3.connect(copy)) as connection:
            connection.executescript(statements)
        return replace(run, book=Path(copy))

    return forge


@pytest.fixture
def forged_ledger(run: Run) -> Iterator[Callable[[str], Run]]:
    """Change the ledger with these statements as its owner, past all triggers, in a copy."""
    name = f"forged_{secrets.token_hex(4)}"
    original = run.postgres_url.rpartition("/")[2].partition("?")[0]
    admin = run.postgres_url.replace(f"/{original}", "/postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{original}"'.encode())

        def forge(statements: str) -> Run:
            url = run.postgres_url.replace(f"/{original}", f"/{name}")
            with psycopg.connect(url) as copy:
                copy.execute(b"set session_replication_role = replica")
                copy.execute(statements.encode())
            return replace(run, postgres_url=url)

        yield forge
        connection.execute(f'drop database "{name}" with (force)'.encode())


def test_a_clean_run_is_clean(run: Run) -> None:
    verdict = run.verdict()

    assert verdict.is_clean, str(verdict)
    assert verdict.trades == TRADES
    assert verdict.outcomes["rejected", "market_closed"] == 1


_SECOND_ORDER = """
    create temp table one as select * from orders where state = 4 limit 1;
    create temp table its as select * from deals where "order" = (select ticket from one);
    update one set ticket = 999, magic = magic + {step}; insert into orders select * from one;
    update its set ticket = ticket + 1000000, "order" = 999; insert into deals select * from its;
"""


@pytest.mark.parametrize("step", [1, 64])
def test_a_second_order_for_a_trade_is_a_duplicate(forged_book: Callable[[str], Run], step: int) -> None:
    verdict = forged_book(_SECOND_ORDER.format(step=step)).verdict()

    assert any("was executed by the orders" in sentence for sentence in verdict.duplicates)


@pytest.mark.parametrize(
    ("forgery", "complaint"),
    [
        ("update deals set volume = volume / 2 where type < 2", "the deals told are not those"),
        ("update orders set state = 1 where ticket = (select max(ticket) from orders)", "is still open at the broker"),
        ("update orders set volume_initial = 77 where ticket = (select max(ticket) from orders)", "nobody approved"),
        ("update orders set magic = 0", "carries another token"),
    ],
)
def test_what_the_broker_did_otherwise_is_wrong(
    forged_book: Callable[[str], Run], forgery: str, complaint: str
) -> None:
    assert any(complaint in sentence for sentence in forged_book(forgery).verdict().wrong)


@pytest.mark.parametrize(
    ("forgery", "complaint"),
    [
        ("delete from ledger.audit_events where sequence = 7", "audit event 7 is missing"),
        ("update ledger.audit_events set payload = payload || ' ' where sequence = 5", "breaks at event 5"),
        (
            "delete from ledger.audit_events where sequence = (select max(sequence) from ledger.audit_events)",
            "the chain ends at",
        ),
        ("update ledger.executions set is_open = true, state = 'unknown'", "is still unknown in the ledger"),
        ("update ledger.executions set state = 'expired' where state = 'rejected'", "the ledger has"),
        ("delete from ledger.deals", "the ledger counts the deals {}"),
        ("update ledger.confirmations set body = body || ' '::bytea", "or their bytes differ"),
        ("update ledger.confirmations set version = 2", "have gaps"),
        (
            """
            insert into ledger.outbox (account, kind, exchange, routing_key, properties, body, created_at)
            values ('main', 'reply', '', '', '{}', '', now())
            """,
            "1 messages are still in the outbox",
        ),
    ],
)
def test_what_the_ledger_has_otherwise_is_wrong(
    forged_ledger: Callable[[str], Run], forgery: str, complaint: str
) -> None:
    assert any(complaint in sentence for sentence in forged_ledger(forgery).verdict().wrong)


def test_a_trade_nobody_was_told_about_is_lost(run: Run) -> None:
    first = run.published[0].correlation
    silent = replace(run, received=[one for one in run.received if one.correlation_id != first])

    assert len(silent.verdict().lost) == 1


def test_a_trade_nobody_wrote_down_is_lost(forged_ledger: Callable[[str], Run]) -> None:
    verdict = forged_ledger("delete from ledger.executions where symbol = 'EURUSD'").verdict()

    assert len(verdict.lost) == 1


def test_a_version_told_in_two_wordings_is_wrong(run: Run) -> None:
    [first, *_] = run.received
    other = replace(first, body=first.body + b" ")

    verdict = replace(run, received=[*run.received, other]).verdict()

    assert any("2 wordings" in sentence for sentence in verdict.wrong)


def test_an_end_that_the_behaviour_does_not_allow_is_wrong(run: Run) -> None:
    verdict = judge(
        "main",
        run.published,
        book=Book(run.book),
        received=run.received,
        postgres_url=run.postgres_url,
        ends=lambda *_: [("filled", None)],
    )

    assert len(verdict.wrong) == 2, "the partial fill and the refusal"

"""The plan of a replay: what the ledger knows of dead letters, and what would become of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from schemas.refusals import RefusedMessage as Refusal
from worker.domain.errors import NotFound
from worker.domain.execution import State
from worker.domain.message import IncomingMessage
from worker.domain.trade import Trade
from worker.ledger.encoding import Row, rows_as_json
from worker.ledger.namespaces import misses_nothing_since
from worker.ledger.operators import Operator
from worker.ledger.records import execution_from, message_from
from worker.ledger.statements import sql
from worker.ledger.view import AccountRow, Question, View, account_from
from worker.pipeline.prospects import Case, Errand, Prospect, Terms, foresee, read

_CHUNK = 100  # letters that are read at once, with their bodies


@dataclass(frozen=True, slots=True)
class PlannedReplay:
    """A dead letter and what would become of it."""

    letter_id: UUID
    account: str | None
    reason: str
    trade_id: str | None
    execution_id: UUID | None  # of the trade that its message is
    prospect: Prospect

    @property
    def sentence(self) -> str:
        """Return its prospect as a sentence that names it."""
        return f"dead letter {self.letter_id} {self.prospect.detail}"


async def plan(desk: Operator, letter_ids: Sequence[UUID], terms: Terms) -> Sequence[PlannedReplay]:
    """
    Return what would become of these letters at this moment, in their order; nothing is changed or locked.

    Raises NotFound with those that there are not.
    """
    planned: dict[UUID, PlannedReplay] = {}
    for start in range(0, len(letter_ids), _CHUNK):
        chunk = await _planned(desk, letter_ids[start : start + _CHUNK], terms)
        planned.update({one.letter_id: one for one in chunk})
    missing = [str(letter_id) for letter_id in letter_ids if letter_id not in planned]
    if missing:
        raise NotFound(f"there is no dead letter {', '.join(missing)}")
    return [planned[letter_id] for letter_id in letter_ids]


async def _planned(desk: Operator, letter_ids: Sequence[UUID], terms: Terms) -> Sequence[PlannedReplay]:
    letters = await _rows(desk, "letters_to_replay", {"ids": list(letter_ids)})
    now = desk.clock.now()
    messages = {row["letter_id"]: message_from(row["body"], row["envelope"]) for row in letters}
    readings = {row["letter_id"]: read(messages[row["letter_id"]], row["account"] or "", now) for row in letters}
    views = await _views(desk, letters, readings)
    known_since = {name: await misses_nothing_since(desk.connection, name, now) for name in views}
    found = []
    for row in letters:
        letter_id, view = row["letter_id"], views.get(row["account"])
        reading = readings[letter_id]
        case = replace(_case(row, messages[letter_id], reading, view), known_since=known_since.get(row["account"]))
        found.append(_planned_as(row, case, foresee(case, terms, now)))
    return found


async def _views(
    desk: Operator, letters: Sequence[Row], readings: Mapping[UUID, Trade | Refusal]
) -> Mapping[str, View]:
    """Return for each account that has had a worker what the ledger knows of the trades that its letters are."""
    asked: dict[str, Question] = defaultdict(Question)
    for row in letters:
        reading = readings[row["letter_id"]]
        if isinstance(reading, Trade):
            asked[row["account"]].ask_for_trade(row["account"], reading)
    views = {account.account: View(account) for account in await _accounts(desk, {row["account"] for row in letters})}
    for name, view in views.items():
        for row in await _rows(desk, "find_trades", {"rows": rows_as_json(asked[name].trades)}):
            view.note(execution_from(row))
    return views


async def _accounts(desk: Operator, names: Collection[str | None]) -> Sequence[AccountRow]:
    rows = await _rows(desk, "look_at_accounts", {"accounts": [name for name in names if name is not None]})
    return [account_from(row) for row in rows]


async def _rows(desk: Operator, statement: str, values: Mapping[str, object]) -> Sequence[Row]:
    return await (await desk.connection.execute(sql(statement), values)).fetchall()


def _case(row: Row, message: IncomingMessage, reading: Trade | Refusal, view: View | None) -> Case:
    is_replaying = row["state"] == "replaying" and row["ordered_at"] is not None
    case = Case(
        state=row["state"],
        state_by=row["state_by"],
        reason=row["reason"],
        account=row["account"],
        has_worker=view is not None,
        message=message,
        reading=reading,
        unresolved=row["execution_id"] if row["named_state"] == State.UNRESOLVED else None,
        errand=Errand(row["ordered_at"], row["is_waiting"], row["is_used"]) if is_replaying else None,
        is_imported=row["imported_by"] is not None,
    )
    if view is None or isinstance(reading, Refusal):
        return case
    known, halt = view.find(row["account"], reading), view.account.halts.of(reading.decision.symbol)
    return replace(case, known=known, halt=halt)


def _planned_as(row: Row, case: Case, prospect: Prospect) -> PlannedReplay:
    trade_id = case.reading.identity.trade_id if isinstance(case.reading, Trade) else row["trade_id"]
    return PlannedReplay(
        letter_id=row["letter_id"],
        account=case.account,
        reason=row["reason"],
        trade_id=trade_id,
        execution_id=case.known.execution_id if case.known else row["execution_id"],
        prospect=prospect,
    )

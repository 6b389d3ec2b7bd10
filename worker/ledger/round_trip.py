"""
Several statements in one round trip, each prepared when a connection executes it for the first time.

A cursor costs more than PostgreSQL's own work on a small commit: in a pipeline, each waits for its statement to leave.
Here all statements leave at once, and the answers to all of them are waited for once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import adapt, errors
from psycopg.abc import Buffer, PQGen, Transformer
from psycopg.adapt import PyFormat
from psycopg.generators import fetch_many, send
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg.rows import DictRow

from worker.ledger.connection import Connection
from worker.ledger.statements import numbered

Call = tuple[str, Mapping[str, Any]]  # the name of a statement, and its values
Answers = Sequence[Sequence[DictRow]]  # the rows of each statement

BEGIN: Call = ("begin", {})
COMMIT: Call = ("commit", {})
ROLLBACK: Call = ("rollback", {})
_WORDS = frozenset(name for name, _ in (BEGIN, COMMIT, ROLLBACK))  # they have no file, and nothing to prepare

_Values = tuple[Sequence[Buffer | None], Sequence[Format]]


async def round_trip(connection: Connection, calls: Sequence[Call]) -> Answers:
    """
    Execute statements in their order; return the rows of each. None that comes after a failed one is executed.

    Raises the psycopg.Error of the failed one.
    """
    transformer = adapt.Transformer(connection)
    values = [_dumped(transformer, call) for call in calls]
    answers = await connection.wait(_carry(connection, [name for name, _ in calls], values))
    return [_rows(transformer, answer) for answer in answers]


def _dumped(transformer: Transformer, call: Call) -> _Values:
    """Return the values as they travel. Their types are left to PostgreSQL: it knows what each is put into."""
    name, values = call
    if name in _WORDS:
        return (), ()
    statement = numbered(name)
    formats = [PyFormat.BINARY if is_binary else PyFormat.TEXT for is_binary in statement.are_binary]
    dumped = transformer.dump_sequence([values[parameter] for parameter in statement.parameters], formats)
    return dumped, [Format.BINARY if is_binary else Format.TEXT for is_binary in statement.are_binary]


def _carry(connection: Connection, names: Sequence[str], values: Sequence[_Values]) -> PQGen[Sequence[PGresult]]:
    wire = connection.pgconn
    unprepared = [name for name in dict.fromkeys(names) if name not in connection.prepared and name not in _WORDS]
    wire.enter_pipeline_mode()
    for name in unprepared:
        wire.send_prepare(name.encode(), numbered(name).text)
    for name, (dumped, formats) in zip(names, values, strict=True):
        if name in _WORDS:
            wire.send_query_params(name.encode(), None)
        else:
            wire.send_query_prepared(name.encode(), dumped, formats, Format.BINARY)
    wire.pipeline_sync()
    yield from send(wire)
    answers: list[PGresult] = []
    for _ in range(len(unprepared) + len(names) + 1):  # the last one answers the synchronisation
        answers += yield from fetch_many(wire)
    wire.exit_pipeline_mode()
    connection.prepared.update(
        name for name, answer in zip(unprepared, answers, strict=False) if answer.status == ExecStatus.COMMAND_OK
    )
    for answer in answers:
        if answer.status == ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(answer)
    return answers[len(unprepared) : -1]


def _rows(transformer: Transformer, answer: PGresult) -> list[DictRow]:
    if not answer.ntuples:
        return []
    names = [(answer.fname(column) or b"").decode() for column in range(answer.nfields)]
    transformer.set_pgresult(answer)
    return transformer.load_rows(0, answer.ntuples, lambda values: dict(zip(names, values, strict=True)))

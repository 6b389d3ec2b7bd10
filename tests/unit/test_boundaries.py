"""Every place where the worker writes to something outside of itself can be made its last: found in the code itself."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import worker
from worker import failpoints
from worker.ledger.statements import all_statements

CODE = Path(worker.__file__).parent
BEYOND = ("mt5/simulated/",)  # the broker's side: a test ends the worker, not the broker
ALWAYS = {
    "transaction",
    "commit",
    "executemany",
    "copy",
    "basic_publish",
    "basic_ack",
    "basic_nack",
    "basic_reject",
    "order_send",
}
WRITING = re.compile(r"\b(insert into|(?<!for )update|delete from|truncate|create|alter|drop|grant)\b", re.IGNORECASE)

WITHOUT_A_POINT = {
    ("messaging/channel.py", "may_publish"): "a question: its transaction is taken back, nothing leaves",
    ("ledger/page.py", "write"): "inside its caller's transaction, which has the points",
    ("ledger/batch.py", "_is_committed"): "asks what an earlier commit has done; changes a signature that nobody knows",
    ("ledger/batch.py", "_begin"): "locks and reads, or takes back",
    ("ledger/batch.py", "_commit_as_foreseen"): "takes back what was refused",
    ("ledger/batch.py", "_write"): "inside `commit`, which has the points",
    ("ledger/namespaces.py", "namespaces_of"): "inside the transaction of `recognise`",
    ("ledger/resolutions.py", "_close_letters"): "inside its caller's transaction",
    ("ledger/replays.py", "_write"): "inside its caller's transaction",
    ("ledger/replay_plan.py", "_rows"): "only reads",
    ("ledger/view.py", "read_view"): "inside the transaction of its batch",
    ("ledger/mailbox.py", "_read"): "only reads",
    ("ledger/ledger.py", "read"): "its callers only read",
    ("ledger/history.py", "_rows"): "its callers only read",
    ("ledger/letter_story.py", "_rows"): "its callers only read",
    ("ledger/listing.py", "_rows"): "its callers only read",
    ("ledger/broker_facts.py", "store"): "a person's measurement, who sees when it was not stored and makes another",
    ("ledger/report.py", "_one_moment"): "its transaction may not write",
    ("ledger/status.py", "_rows"): "its callers only read",
    ("ledger/inspection.py", "missing_rights"): "only reads",
    ("mt5/session_process.py", "_write"): "inside `serve`, which has the points",
    ("ledger/schema.py", "_migrate"): "frames migrations by what may be repeated at any time: locks, roles, grants",
}


@dataclass(frozen=True)
class Place:
    """A call in a function of the worker."""

    file: str
    function: ast.AST
    call: ast.Call

    @property
    def key(self) -> tuple[str, str]:
        return self.file, getattr(self.function, "name", "")

    def __str__(self) -> str:
        return f"worker/{self.file}:{self.call.lineno} in {self.key[1]}: {ast.unparse(self.call)[:60]}"


def _calls() -> Iterator[Place]:
    for path in sorted(CODE.rglob("*.py")):
        file = path.relative_to(CODE).as_posix()
        if not file.startswith(BEYOND):
            yield from _calls_of(file, ast.parse(path.read_text("utf-8")))


def _calls_of(file: str, tree: ast.AST) -> Iterator[Place]:
    """Yield every call with the innermost function around it."""
    waiting: list[tuple[ast.AST, ast.AST]] = [(tree, tree)]
    while waiting:
        node, function = waiting.pop()
        if isinstance(node, ast.Call):
            yield Place(file, function, node)
        inner = node if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        waiting += [(child, inner) for child in ast.iter_child_nodes(node)]


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _is_boundary(place: Place) -> bool:
    name, is_method = _called(place.call), isinstance(place.call.func, ast.Attribute)
    if name == "write":
        return is_method and place.file.startswith("mt5/")  # the pipe between a session and the worker
    if name == "execute":
        return is_method and _writes(place.call) and not _in_a_transaction(place)
    if name == "round_trip":
        return True
    if name == "commit":
        return is_method and place.file.startswith("ledger/") and not place.call.args
    return is_method and name in ALWAYS


def _writes(execute: ast.Call) -> bool:
    """Tell whether a statement changes the database; one that is only known at run time does."""
    match execute.args[0] if execute.args else None:
        case ast.Call(func=ast.Name(id="sql"), args=[ast.Constant(value=str(name))]):
            return bool(WRITING.search(all_statements()[name].decode()))
    return True


def _in_a_transaction(place: Place) -> bool:
    """Tell whether a `with transaction(...)` or `with locked(...)` of the same function surrounds the call."""
    blocks = [
        block
        for block in ast.walk(place.function)
        if isinstance(block, ast.AsyncWith)
        and any(isinstance(i.context_expr, ast.Call) and _called(i.context_expr) in _OPENERS for i in block.items)
    ]
    return any(place.call in ast.walk(block) for block in blocks)


_OPENERS = {"transaction", "locked"}


def _hits(function: ast.AST) -> list[ast.Call]:
    return [
        node for node in ast.walk(function) if isinstance(node, ast.Call) and ast.unparse(node.func) == "failpoints.hit"
    ]


def _lies_between_points(place: Place) -> bool:
    lines = [hit.lineno for hit in _hits(place.function)]
    return any(line < place.call.lineno for line in lines) and any(line > place.call.lineno for line in lines)


BOUNDARIES = [place for place in _calls() if _is_boundary(place)]


def test_there_are_boundaries_of_every_sort() -> None:
    found = {_called(place.call) for place in BOUNDARIES}
    assert found >= {"transaction", "execute", "basic_publish", "basic_ack", "basic_nack", "order_send", "write"}


@pytest.mark.parametrize("place", BOUNDARIES, ids=lambda place: f"{place.file}:{place.key[1]}")
def test_a_boundary_has_a_failpoint_before_and_after_it(place: Place) -> None:
    if place.key in WITHOUT_A_POINT:
        return
    assert _lies_between_points(place), (
        f"{place}\nThis writes to something outside of the worker. Put failpoints.hit(...) before and after it "
        f"(through worker/ledger/transaction.py for a transaction), or name it in WITHOUT_A_POINT with the reason"
    )


def test_every_exception_still_exists() -> None:
    assert set(WITHOUT_A_POINT) <= {place.key for place in BOUNDARIES}


def _points_in_the_code() -> Iterator[str]:
    for place in _calls():
        called = ast.unparse(place.call.func)
        if called == "failpoints.hit" and place.file != "ledger/transaction.py":
            yield _literal(place, place.call.args[0]) + (".*" if place.call.args[1:] else "")
        if called == "transaction" and len(place.call.args) > 1:
            name, family = _literal(place, place.call.args[1]), ".*" if place.call.args[2:] else ""
            yield from (f"ledger.{name}.{moment}{family}" for moment in ("before", "within", "after"))


def _literal(place: Place, argument: ast.expr) -> str:
    assert isinstance(argument, ast.Constant), f"{place}: a point is named by a plain string"
    return str(argument.value)


def test_every_point_has_one_place_and_one_description() -> None:
    counted = Counter(_points_in_the_code())

    assert {name: times for name, times in counted.items() if times > 1} == {}
    assert set(counted) == set(failpoints.POINTS)
    assert all(failpoints.POINTS.values())

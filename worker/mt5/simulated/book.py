"""
The broker's book: what several processes may read and write at once, and what this one remembers of it.

The file is the truth. What was read of it is kept until it changes: rows by their tickets, and whatever was added up
or looked up (settings, sums, due times) until the next change of any kind. What other processes change, SQLite itself
counts; so a terminal that is asked a hundred times between two orders reads the file once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.book_file import connect
from worker.mt5.simulated.structs import Struct, TradeDeal, TradeOrder, TradePosition

_SIGNED = 1 << 63
_KEPT_AT_MOST = 16_384  # rows of a table: more than are open at once and are looked at again within seconds
_Value = TypeVar("_Value")


class Meta(NamedTuple):
    """The book's own settings: what may be changed from outside, the running balance, and what the schedule says."""

    login: int
    server: str
    leverage: int
    margin_mode: int
    server_offset_seconds: int
    latency_ms: float
    connected: int
    trade_allowed: int
    tradeapi_disabled: int
    opened_utc_msc: int
    balance: float
    history_ready_utc_msc: int
    open_at_weekends: int
    due_utc_msc: int | None  # when something happens next

    @property
    def hedging(self) -> bool:
        """Tell whether every order opens a position of its own."""
        return self.margin_mode == mt5.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING


_READ_META = f"SELECT {', '.join(Meta._fields[:-1])}, (SELECT min(due_utc_msc) FROM schedule) FROM meta"  # noqa: S608 - the names are those of the class above
_TABLES = {TradeOrder: "orders", TradeDeal: "deals", TradePosition: "positions"}
_INSERT = {
    struct: f"INSERT INTO {table} VALUES ({', '.join('?' * len(struct.__match_args__))})"  # noqa: S608 - constants
    for struct, table in _TABLES.items()
}


class Book:
    """
    An open book. Not for several threads at once: the terminal's pipe serializes its calls.

    A new one is of a hedging account, or of a netting one; an old one stays what it is.
    """

    def __init__(self, path: Path, *, netting: bool = False) -> None:
        mode = mt5.ACCOUNT_MARGIN_MODE_RETAIL_NETTING if netting else mt5.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING
        self._connection = connect(path, mode)
        self._others = -1  # changes by other processes, as SQLite counts them
        self._kept: dict[type[Struct], dict[int, Struct]] = {struct: {} for struct in _TABLES}
        self._last_tickets: dict[type[Struct], int] = {}
        self._known: dict[str, tuple[object, Any]] = {}

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def refresh(self) -> None:
        """Forget what is remembered if another process has changed the book."""
        ((others,),) = self._connection.execute("PRAGMA data_version")
        if others != self._others:
            self._others = others
            self._forget_everything()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all or nothing, alone among the writers."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self.refresh()
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            self._forget_everything()
            raise
        self._connection.execute("COMMIT")

    def known(self, name: str, read: Callable[[], _Value], at: object = None) -> _Value:
        """Return what `read` finds, as it was found before under this name, unless book or `at` have changed since."""
        before = self._known.get(name)
        if before is None or before[0] != at:
            before = self._known[name] = (at, read())
        value: _Value = before[1]
        return value

    def meta(self) -> Meta:
        """Return the settings."""
        return self.known("meta", lambda: Meta(*self._connection.execute(_READ_META).fetchone()))

    def rows(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Read rows as plain tuples."""
        return self._connection.execute(sql, parameters).fetchall()

    def value(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """Read a single value; None when there is no row."""
        row = self._connection.execute(sql, parameters).fetchone()
        return row and row[0]

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Change anything; nothing is remembered after that."""
        self._connection.execute(sql, parameters)
        self._forget_everything()

    def note(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Change what is neither an order nor a deal nor a position; those are changed by the methods below."""
        self._connection.execute(sql, parameters)
        self._known.clear()

    def row(self, struct: type[Struct], ticket: int) -> Struct | None:
        """Return the order, deal or position with a ticket."""
        known = self._kept[struct].get(ticket)
        return known or next(iter(self.select(struct, "ticket = ?", (stored(ticket),))), None)

    def select(
        self, struct: type[Struct], where: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[Struct]:
        """Read orders, deals or positions as their structures, those that are known without reading them again."""
        if parameters:
            return self._select(struct, where, parameters)
        name = f"{struct.__name__} {where}"
        found = self.known(name, lambda: self._select(struct, where))
        if len(found) > _KEPT_AT_MOST:
            del self._known[name]
        return found

    def _select(
        self, struct: type[Struct], where: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[Struct]:
        table, kept = _TABLES[struct], self._kept[struct]
        tickets = self.rows(f"SELECT ticket FROM {table} WHERE {where}", parameters)  # noqa: S608 - `where` is a constant of ours
        if not self._connection.in_transaction:
            self.refresh()  # what is remembered and these tickets are of one moment, or nothing is remembered
        try:
            return [kept[ticket] for (ticket,) in tickets]
        except KeyError:
            rows = self.rows(f"SELECT * FROM {table} WHERE {where}", parameters)  # noqa: S608 - as above
        found = [_struct(struct, row) for row in rows]
        if len(found) <= _KEPT_AT_MOST:  # else it would drive out what is looked at again
            for row in found:
                self._keep(row)
        return found

    def count(self, struct: type[Struct], where: str, parameters: Sequence[Any] = ()) -> int:
        """Count orders, deals or positions."""
        return int(self.value(f"SELECT count(*) FROM {_TABLES[struct]} WHERE {where}", parameters))  # noqa: S608 - as above

    def insert(self, row: Struct) -> None:
        """Write a new order, deal or position."""
        self._known.clear()
        self._connection.execute(_INSERT[type(row)], row if row.magic < _SIGNED else _signed(row))
        self._last_tickets[type(row)] = row.ticket
        self._keep(row)

    def amend(self, row: Struct, **changes: Any) -> None:
        """Change columns of an order or a position."""
        struct = type(row)
        self._known.clear()
        written = changes | ({"magic": stored(changes["magic"])} if "magic" in changes else {})
        columns = ", ".join(f"{column} = ?" for column in written)
        sql = f"UPDATE {_TABLES[struct]} SET {columns} WHERE ticket = ?"  # noqa: S608 - our own names
        self._connection.execute(sql, (*written.values(), row.ticket))
        known = self._kept[struct].pop(row.ticket, None)  # `row` itself may be older than that
        if known is not None:
            self._keep(struct((known._asdict() | changes).values()))

    def delete(self, row: Struct) -> None:
        """Take an order or a position out."""
        self._known.clear()
        self._connection.execute(f"DELETE FROM {_TABLES[type(row)]} WHERE ticket = ?", (row.ticket,))  # noqa: S608 - our own names
        self._kept[type(row)].pop(row.ticket, None)

    def next_ticket(self, struct: type[Struct], first: int) -> int:
        """Return the ticket of the next order or deal: rows of these are never deleted."""
        if struct not in self._last_tickets:
            last = self.value(f"SELECT max(ticket) FROM {_TABLES[struct]}")  # noqa: S608 - our own names
            self._last_tickets[struct] = first - 1 if last is None else last
        return self._last_tickets[struct] + 1

    def _keep(self, row: Struct) -> None:
        kept = self._kept[type(row)]
        if len(kept) >= _KEPT_AT_MOST:
            kept.clear()
        kept[row.ticket] = row

    def _forget_everything(self) -> None:
        self._known.clear()
        self._last_tickets.clear()
        for kept in self._kept.values():
            kept.clear()


def stored(unsigned: int) -> int:
    """Return an unsigned 64-bit number as SQLite keeps it: with a sign."""
    return unsigned - 2 * _SIGNED if unsigned >= _SIGNED else unsigned


def _signed(row: Struct) -> tuple[Any, ...]:
    return tuple((row._asdict() | {"magic": stored(row.magic)}).values())


_MAGIC = {struct: struct.__match_args__.index("magic") for struct in _TABLES}


def _struct(struct: type[Struct], row: tuple[Any, ...]) -> Struct:
    place = _MAGIC[struct]
    whole = row if row[place] >= 0 else (*row[:place], row[place] + 2 * _SIGNED, *row[place + 1 :])
    return tuple.__new__(struct, whole)  # a table's row has the right length

"""
What a terminal session's two processes say to each other: one JSON line a command, one JSON line an answer.

A command holds one request or several, which are answered one after the other, each before the next one is begun.
Strictly in turn: the parent sends nothing before the last answer has come, so a line needs no number, and at most one
command can ever wait in the pipe.
"""

from __future__ import annotations

import json
import ntpath
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from pydantic_core import from_json

from worker.domain.errors import TerminalUnavailable
from worker.domain.execution import Venue
from worker.domain.instrument import Instrument
from worker.domain.market import (
    BrokerDeal,
    BrokerOrder,
    CancelReport,
    Custody,
    Health,
    OrderRequest,
    Poll,
    PollRequest,
    Quote,
    QuoteRequest,
    Search,
    SearchRequest,
    SendReport,
    Tick,
)
from worker.mt5.file_lock import TerminalInUse

_BEGINNING = re.compile(rb'{"command":"([a-z]+)"')
_ANSWER = b'{"answer":'
INITIALIZE_SECONDS = 60.0  # after which the package gives up connecting; its own default
OPENING_SECONDS = INITIALIZE_SECONDS + 15.0
ENDED_BY_SILENCE = 4  # the child's exit code when its parent had fallen silent

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class TerminalUnreachable(TerminalUnavailable):
    """The terminal does not let itself be connected to. It may hang; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Which terminal to open and how. It carries the password, so it goes over the pipe and nowhere else."""

    session: str
    backend: str  # simulated | native
    book: Path | None = None
    netting: bool = False  # what account a new book is for
    terminal: str | None = None
    login: int | None = None
    password: str | None = field(default=None, repr=False)
    server: str | None = None
    portable: bool = False
    account: tuple[int, str] | None = None  # login and server it has shown before: no other is taken
    restarts_terminal: bool = False  # it may be ended when it hangs
    restart: bool = False  # it does hang and is to be ended now; only with the path of its program
    symbols: tuple[str, ...] = ()
    call_timeout: float = 10.0  # seconds; the limit of every call but the opening itself
    silence_limit: float | None = None  # seconds; the child ends when it hears nothing for longer; None: it waits
    failpoints: str = ""
    failpoints_log: Path | None = None

    @property
    def sender(self) -> str:
        """Return the name of the terminal: the same for every process that ever opens it, and for no other terminal."""
        if self.backend == "native":
            path = "the default terminal" if self.terminal is None else ntpath.normcase(ntpath.normpath(self.terminal))
            return f"{platform.node()}:{path}"
        # Without the machine's name, which a container changes: the lock beside the book lets in one process at a time.
        return f"{self.book}:{self.session}"

    @property
    def can_restart(self) -> bool:
        """Tell whether the terminal may be ended, and is a process that can be told from all others."""
        return self.restarts_terminal and self.backend == "native" and self.terminal is not None


_NOT_KNOWN = Custody(clean_since=None, in_session=False)


@dataclass(frozen=True, slots=True)
class VenueFacts:
    """Where orders of this session really go, as the terminal itself says."""

    venue: Venue
    account_mode: str  # netting | hedging
    version: str
    clock_offset_known: bool
    custody: Custody = _NOT_KNOWN


@dataclass(frozen=True, slots=True)
class Standing:
    """How a session stands: whether an order could be sent by it now, and what its terminal may still hold."""

    health: Health
    custody: Custody


@dataclass(frozen=True, slots=True)
class Market:
    """A symbol as the terminal shows it right now: nothing but a problem where it cannot be read."""

    instrument: Instrument | None
    tick: Tick | None
    taken_at: datetime  # UTC
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Quotation:
    """The answer to several questions at once; what they have in common is told once."""

    health: Health
    markets: Mapping[str, Market]  # by symbol
    margins: tuple[Decimal | None, ...]  # of each question, in their order

    def of(self, requests: Sequence[QuoteRequest]) -> list[Quote | TerminalUnavailable]:
        """Return each asker's own answer, or why there is none."""
        asked = zip(requests, self.margins, strict=True)
        return [self._quote(self.markets[request.symbol], margin) for request, margin in asked]

    def _quote(self, market: Market, margin: Decimal | None) -> Quote | TerminalUnavailable:
        if market.problem is not None:
            return TerminalUnavailable(market.problem)
        return Quote(self.health, market.instrument, market.tick, margin, market.taken_at)


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """An order to be cancelled."""

    ticket: int
    symbol: str


@dataclass(frozen=True, slots=True)
class OrderStory:
    """One order by its ticket, with its deals. `placed_at` is UTC, None while the server's clock offset is unknown."""

    order: BrokerOrder
    deals: tuple[BrokerDeal, ...]
    contract_size: Decimal
    placed_at: datetime | None


_KINDS = {kind.__name__: kind for kind in (TerminalUnavailable, TerminalInUse, TerminalUnreachable)}


class Defect(TerminalUnavailable):
    """One of the two sides met an error of its own: what was asked for may or may not have been done."""


@dataclass(frozen=True)
class Command(Generic[Request, Answer]):
    """A command's name and the shapes of its request and its answer."""

    name: str
    request: TypeAdapter[Request]
    answer: TypeAdapter[Answer]

    def ask(self, *requests: Request) -> bytes:
        """Write the command as a line: its answers come in the order of the requests."""
        return b'{"command":"%s","requests":[%s]}\n' % (
            self.name.encode(),
            b",".join(map(self.request.dump_json, requests)),
        )

    def reply(self, answer: Answer) -> bytes:
        """Write the answer to one request as a line."""
        return _ANSWER + self.answer.dump_json(answer) + b"}\n"

    def read_request(self, request: object) -> Request:
        """Read one of the requests of a command's line."""
        return self.request.validate_python(request)

    def read_answer(self, line: bytes) -> Answer:
        """Read an answer; raises TerminalUnavailable or Defect when the line tells of one."""
        try:
            if line.startswith(_ANSWER):
                return self.answer.validate_json(line[len(_ANSWER) : line.rindex(b"}")])
            trouble = json.loads(line)
        except ValueError as error:
            raise Defect(f"the terminal session's answer to {self.name} cannot be read: {error}") from None
        if "unavailable" in trouble:
            raise _KINDS[trouble["kind"]](trouble["unavailable"])
        raise Defect(f"the terminal session failed in {self.name}: {trouble['defect']}")


def name_of(line: bytes) -> str:
    """Return the name of a line's command, as `Command.ask` writes it; of anything else, `unknown`."""
    begins = _BEGINNING.match(line)
    return begins[1].decode() if begins else "unknown"


def requests_of(line: bytes) -> Sequence[Any]:
    """Return the requests of a command's line, for `Command.read_request`; raises an error where there are none."""
    requests: Sequence[Any] = from_json(line)["requests"]
    return requests


def unavailable(error: TerminalUnavailable) -> bytes:
    """Write that the terminal cannot answer now; nothing was sent to the broker."""
    kind = type(error).__name__ if type(error).__name__ in _KINDS else TerminalUnavailable.__name__
    return json.dumps({"unavailable": str(error), "kind": kind}).encode() + b"\n"


def defect(what: str) -> bytes:
    """Write that the child has met an error of its own."""
    return json.dumps({"defect": what}).encode() + b"\n"


OPEN: Command[Opening, VenueFacts] = Command("open", TypeAdapter(Opening), TypeAdapter(VenueFacts))
QUOTE: Command[tuple[QuoteRequest, ...], Quotation] = Command(
    "quote", TypeAdapter(tuple[QuoteRequest, ...]), TypeAdapter(Quotation)
)
SUBMIT: Command[OrderRequest, SendReport] = Command("submit", TypeAdapter(OrderRequest), TypeAdapter(SendReport))
POLL: Command[PollRequest, Poll] = Command("poll", TypeAdapter(PollRequest), TypeAdapter(Poll))
SEARCH: Command[SearchRequest, Search] = Command("search", TypeAdapter(SearchRequest), TypeAdapter(Search))
CANCEL: Command[CancelRequest, CancelReport] = Command("cancel", TypeAdapter(CancelRequest), TypeAdapter(CancelReport))
HEALTH: Command[None, Health] = Command("health", TypeAdapter(None), TypeAdapter(Health))
STANDING: Command[None, Standing] = Command("standing", TypeAdapter(None), TypeAdapter(Standing))
INSTRUMENTS: Command[tuple[str, ...], tuple[Instrument, ...]] = Command(
    "instruments", TypeAdapter(tuple[str, ...]), TypeAdapter(tuple[Instrument, ...])
)
ORDER: Command[int, OrderStory | None] = Command("order", TypeAdapter(int), TypeAdapter(OrderStory | None))

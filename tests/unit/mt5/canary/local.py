"""A terminal session without a child process: the same code, over the simulated broker, which a story may spoil."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.unit.mt5.package import Struct
from worker.domain.instrument import Instrument
from worker.domain.market import CancelReport, Health, OrderRequest, Quote, QuoteRequest, SendReport
from worker.mt5 import simulated, wire
from worker.mt5.canary.observer import Observer
from worker.mt5.canary.plan import Plan, prepare
from worker.mt5.link import Link
from worker.mt5.quotes import Quotes
from worker.mt5.sending import Sender
from worker.mt5.server_clock import ServerClock
from worker.mt5.wire import CancelRequest, Command, Opening, VenueFacts

Answer = Callable[..., Any]


class Spoiled:
    """The simulated module, with some of its functions answering otherwise: each gets the true one first."""

    def __init__(self, module: Any, spoils: Mapping[str, Answer]) -> None:
        self._module = module
        self._spoils = spoils

    def __getattr__(self, function: str) -> Any:
        true = getattr(self._module, function)
        if function not in self._spoils:
            return true
        return lambda *arguments, **named: self._spoils[function](true, *arguments, **named)


class LocalSession:
    """What a canary needs of a TerminalSession."""

    def __init__(self, book: Path, spoils: Mapping[str, Answer] | None = None, backend: str = "simulated") -> None:
        self.link = Link(Spoiled(simulated.module(book), spoils or {}), Opening("local", backend))
        self.link.open()
        clock = ServerClock()
        self._quotes = Quotes(self.link, clock)
        self._quotes.watch(["EURUSD"], 5)
        self._sender = Sender(self.link, self._quotes)
        self._answers = Observer(self.link, self._quotes, clock).commands()
        self.sent: list[OrderRequest] = []

    @property
    def venue(self) -> VenueFacts:
        return self.link.facts(clock_offset_known=True)

    def call(self, command: Command[Any, Any], request: Any) -> Any:
        """Go through the lines of the pipe, so that what cannot be written down shows."""
        self.link.ensure()
        (asked,) = wire.requests_of(command.ask(request))
        answer = self._answers[command.name][1](command.read_request(asked))
        return command.read_answer(command.reply(answer))

    def health(self) -> Health:
        return self.link.health()

    def quote(self, request: QuoteRequest) -> Quote:
        (quote,) = self._quotes.quotation([request]).of([request])
        assert isinstance(quote, Quote)
        return quote

    def instruments(self, symbols: tuple[str, ...] = ()) -> tuple[Instrument, ...]:
        return self._quotes.instruments(symbols)

    def submit(self, order: OrderRequest) -> SendReport:
        self.sent.append(order)
        self.link.ensure()
        return self._sender.submit(order)

    def cancel(self, ticket: int, symbol: str) -> CancelReport:
        self.link.ensure()
        return self._sender.cancel(CancelRequest(ticket, symbol))


def planned(session: Any, *symbols: str, live: bool = False) -> Plan:
    return prepare(session, session.venue, symbols or ("EURUSD",), timedelta(seconds=30), live=live)


def rows_with(**changes: Any) -> Answer:
    """Answer with the true rows, changed: a value stands for itself, a function makes it of the true one."""

    def changed(row: Any) -> Struct:
        fields = row._asdict()
        new = {name: change(fields[name]) if callable(change) else change for name, change in changes.items()}
        return Struct(**fields | new)

    return lambda true, *arguments, **named: tuple(changed(row) for row in true(*arguments, **named) or ())


def after(looks: int) -> Answer:
    """Answer with nothing so many times, and then with the truth."""
    left = [looks]

    def answer(true: Answer, *arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        return () if left[0] >= 0 else true(*arguments, **named)

    return answer

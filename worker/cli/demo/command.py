"""`demo`: the whole of it, on services of its own."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType

import typer
from rich.console import Console

from worker.cli.choices import examples
from worker.cli.demo import stage
from worker.cli.demo.conversation import Story, Subscriber, converse, dead_letters
from worker.cli.demo.report import Bar, Stopwatch, shortcomings, show_letters, show_outcomes, show_times
from worker.cli.demo.terminal_calls import TerminalCalls
from worker.cli.demo.trades import samples
from worker.cli.exits import ExitCode, complain, finish
from worker.cli.show import cell, console
from worker.ledger.desk import LetterLine
from worker.observability import configure_logging
from worker.settings import LogFormat

app = typer.Typer()


@app.command(epilog=examples("mt5-worker demo"))
def demo() -> None:
    """
    Trade on the simulated terminal over a real RabbitMQ and PostgreSQL, and show the confirmations that come back.

    Everything is its own and is stopped at the end; AMQP_URL, POSTGRES_URL and `.env` are ignored. Exit code 1 when a
    confirmation is missing or wrong.
    """
    configure_logging("ERROR", LogFormat.CONSOLE)
    signal.signal(signal.SIGTERM, _end_in_order)
    screen = console()
    watch = Stopwatch(screen)
    with ExitStack() as stack:
        with watch.step("RabbitMQ and PostgreSQL"):
            services = stack.enter_context(stage.services(lambda sentence: screen.print(cell(sentence))))
        screen.print(cell(f"they are {services.way}"))
        place = stack.enter_context(stage.corner(services))
        with watch.step("ledger and topology"):
            finish(stage.furnish(place))
        worker = stack.enter_context(stage.worker(place))
        stories, letters = finish(_play(screen, watch, place, worker))
        calls, last_words = TerminalCalls(worker.log), worker.last_words()
    show_outcomes(screen, stories)
    show_times(screen, stories, calls)
    show_letters(screen, letters)
    _judge(stories, letters, last_words)


async def _play(
    screen: Console, watch: Stopwatch, place: stage.Place, worker: stage.WorkerProcess
) -> tuple[Sequence[Story], Sequence[LetterLine]]:
    with watch.step("worker"):
        await worker.ready()
    subscriber, trades = Subscriber(place.account), samples()
    async with subscriber.listening(place.amqp_url):
        with watch.step("trades"), Bar(screen, len(trades)) as bar:
            stories = await converse(place, trades, subscriber, bar.tell)
    return stories, await dead_letters(place, sum(trade.for_a_person for trade in trades))


def _judge(stories: Sequence[Story], letters: Sequence[LetterLine], last_words: str) -> None:
    wrong = shortcomings(stories, letters)
    for sentence in wrong:
        complain(sentence)
    if wrong:
        complain(f"The worker said:\n{last_words}")
        raise typer.Exit(ExitCode.FAILED)
    sys.stdout.write(f"All {len(stories)} trades were confirmed as they should be.\n")


def _end_in_order(_number: int, _frame: FrameType | None) -> None:
    """Leave through every `finally`, so that nothing stays behind."""
    sys.exit(128 + signal.SIGTERM)

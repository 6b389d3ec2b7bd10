"""`publish`: play RPM."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from worker.cli.choices import examples
from worker.cli.exits import finish
from worker.cli.parts import settings
from worker.domain.errors import Refused
from worker.domain.message import MessageKind, OutgoingMessage, PublishResult
from worker.messaging.inspection import publish_all
from worker.messaging.topology import TRADES

app = typer.Typer()

_UNREADABLE = "_"
_EXAMPLES = examples(
    "mt5-worker publish schemas/examples/rpm-output.approved.json",
    "mt5-worker publish - --symbol EURUSD.partial < trade.json",
)


@app.command(epilog=_EXAMPLES)
def publish(
    file: Annotated[typer.FileBinaryRead, typer.Argument(help="A message as RPM writes it; - reads standard input.")],
    account: Annotated[str | None, typer.Option(help="For the routing key. Default: ACCOUNT.")] = None,
    symbol: Annotated[str | None, typer.Option(help="For the routing key. Default: the message's own.")] = None,
    reply_to: Annotated[str | None, typer.Option(help="A queue that also gets the confirmation.")] = None,
    correlation_id: Annotated[str | None, typer.Option(help="Comes back in the confirmation.")] = None,
) -> None:
    """
    Publish one message to the exchange `trades` as RPM does, and wait until RabbitMQ has it.

    The file's bytes are the message, whatever they are; no message_id is set.
    """
    found, body = settings(), file.read()
    message = OutgoingMessage(
        kind=MessageKind.REPLAY,  # sent by hand, as a replay is
        exchange=TRADES,
        routing_key=f"approved.{account or found.account}.{symbol or _symbol_in(body)}",
        body=body,
        correlation_id=correlation_id,
        reply_to=reply_to,
        content_type="application/json",
    )
    [result] = finish(publish_all(found.need_amqp_url(), [message]))
    if result is not PublishResult.CONFIRMED:
        raise Refused("RabbitMQ did not take the message, so nothing will happen: run `mt5-worker topology check`")
    sys.stdout.write(f"published {len(body)} bytes as {message.routing_key}; RabbitMQ has confirmed them\n")


def _symbol_in(body: bytes) -> str:
    try:
        decision: Any = json.loads(body)["decision"]
        symbol = (decision["approved_trade"] or decision["rejected_trade"])["symbol"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return _UNREADABLE
    return symbol if isinstance(symbol, str) and symbol else _UNREADABLE

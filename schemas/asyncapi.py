"""The AsyncAPI 3.0 document: who may send what to where, and what comes back."""

from __future__ import annotations

from typing import Any

from schemas.dead_letter import DeadLetterReason
from schemas.execution_confirmation import MESSAGE_TYPE, ConfirmationStatus

_JSON = "application/json"
_ACCOUNT = {"description": "Account name: letters, digits, `_`, `-`.", "default": "main"}
_SYMBOL = {"description": "RPM's name of the instrument; may contain dots.", "examples": ["EURUSD"]}
_STATUS = {"description": "How the trade ended.", "enum": [status.value for status in ConfirmationStatus]}


def asyncapi_document(version: str) -> dict[str, Any]:
    """Return the document for the interface's version, described from the worker's point of view."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "mt5-worker",
            "version": version,
            "description": "Takes approved trades from RabbitMQ, executes them on MetaTrader 5, confirms each one.",
        },
        "defaultContentType": _JSON,
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages()},
    }


def _channels() -> dict[str, Any]:
    return {
        "trades": _exchange(
            "trades",
            "approved.{account}.{symbol}",
            "RPM publishes here. The alternate exchange `trades.unroutable` takes trades of unknown accounts.",
            {"account": _ACCOUNT, "symbol": _SYMBOL},
            "RPMOutput",
        ),
        "approvedTrades": _queue(
            "trades.approved.{account}",
            "Quorum queue with a single active consumer, bound with `approved.<account>.#`. A message that is sent "
            "straight to it is as valid as one through the exchange.",
            {"account": _ACCOUNT},
            "RPMOutput",
        ),
        "unroutableTrades": _queue(
            "trades.unroutable",
            "Trades of accounts that nobody serves; they become dead letters of `unknown_account`.",
            {},
            "RPMOutput",
        ),
        "executions": _exchange(
            "executions",
            "confirmation.{status}.{account}.{symbol}",
            "Subscribers bind queues of their own, such as `confirmation.filled.main.#`. `_` stands for an unreadable "
            "symbol. The alternate exchange `executions.unrouted` keeps the newest that nobody took.",
            {"status": _STATUS, "account": _ACCOUNT, "symbol": _SYMBOL},
            "ExecutionConfirmation",
        ),
        "reply": {
            "address": None,
            "description": "The queue in the trade's `reply_to`, through the default exchange: a copy of each "
            "confirmation.",
            "messages": {"ExecutionConfirmation": {"$ref": "#/components/messages/ExecutionConfirmation"}},
        },
        "deadLetters": _queue(
            "trades.dead",
            "Quorum queue behind the topic exchange `trades.dlx`: messages that need a person.",
            {},
            "DeadLetter",
        ),
    }


def _exchange(
    name: str, routing_key: str, description: str, parameters: dict[str, Any], message: str
) -> dict[str, Any]:
    binding = {"is": "routingKey", "exchange": {"name": name, "type": "topic", "durable": True, "autoDelete": False}}
    return _channel(routing_key, description, parameters, message, binding)


def _queue(name: str, description: str, parameters: dict[str, Any], message: str) -> dict[str, Any]:
    binding = {"is": "queue", "queue": {"name": name, "durable": True, "exclusive": False, "autoDelete": False}}
    return _channel(name, description, parameters, message, binding)


def _channel(
    address: str, description: str, parameters: dict[str, Any], message: str, binding: dict[str, Any]
) -> dict[str, Any]:
    return {
        "address": address,
        "description": description,
        **({"parameters": parameters} if parameters else {}),
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {"amqp": {**binding, "bindingVersion": "0.3.0"}},
    }


def _operations() -> dict[str, Any]:
    return {
        "executeTrade": {
            **_operation("receive", "approvedTrades", "Execute an approved trade, once."),
            "reply": {"channel": {"$ref": "#/channels/executions"}},
        },
        "receiveUnroutable": _operation("receive", "unroutableTrades", "Keep trades of unknown accounts."),
        "confirmExecution": _operation(
            "send", "executions", "Confirm each version of an outcome at least once, persistent and `mandatory`."
        ),
        "replyToSender": _operation("send", "reply", "Send a copy to `reply_to`, when the trade has one."),
        "deadLetter": _operation("send", "deadLetters", "Set aside what needs a person."),
    }


def _operation(action: str, channel: str, summary: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


def _messages() -> dict[str, Any]:
    return {
        "RPMOutput": {
            "title": "A decision of the Risk and Portfolio Manager",
            "contentType": _JSON,
            "payload": {"$ref": "./rpm-output.schema.json"},
            "correlationId": {"location": "$message.header#/correlation_id"},
            "description": "Optional properties: `message_id`, `correlation_id`, `reply_to`, `timestamp`, "
            "`expiration`; optional header `traceparent`.",
            "bindings": _message_binding("RPMOutput"),
        },
        "ExecutionConfirmation": {
            "title": "What became of one trade",
            "contentType": _JSON,
            "payload": {"$ref": "./execution-confirmation.schema.json"},
            "correlationId": {"location": "$message.header#/correlation_id"},
            "description": "`message_id` is `<execution_id>:<version>`, byte-identical on every re-publication. "
            "`correlation_id` is the trade's `correlation_id`, else its `message_id`, else its `trade_id`.",
            "bindings": _message_binding(MESSAGE_TYPE),
        },
        "DeadLetter": {
            "title": "A message that failed",
            "description": "The body is the one that failed, untouched. Reasons: " + ", ".join(DeadLetterReason),
            "headers": {"$ref": "./dead-letter-headers.schema.json"},
            "payload": {"description": "Any bytes."},
        },
    }


def _message_binding(message_type: str) -> dict[str, Any]:
    return {"amqp": {"messageType": message_type, "bindingVersion": "0.3.0"}}

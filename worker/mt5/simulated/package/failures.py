"""How things fail, in the package's own words: `last_error` after a call without an answer, and return codes."""

from __future__ import annotations

from worker.mt5.simulated import constants as mt5

SUCCESS = (mt5.RES_S_OK, "Success")
WORDS = {  # the comment of a result
    0: "Done",
    mt5.TRADE_RETCODE_REQUOTE: "Requote",
    mt5.TRADE_RETCODE_REJECT: "Request rejected",
    mt5.TRADE_RETCODE_PLACED: "Order placed",
    mt5.TRADE_RETCODE_DONE: "Request executed",
    mt5.TRADE_RETCODE_DONE_PARTIAL: "Request executed partially",
    mt5.TRADE_RETCODE_TIMEOUT: "Request timed out",
    mt5.TRADE_RETCODE_INVALID: "Invalid request",
    mt5.TRADE_RETCODE_INVALID_VOLUME: "Invalid volume",
    mt5.TRADE_RETCODE_INVALID_PRICE: "Invalid price",
    mt5.TRADE_RETCODE_INVALID_STOPS: "Invalid stops",
    mt5.TRADE_RETCODE_TRADE_DISABLED: "Trade is disabled",
    mt5.TRADE_RETCODE_MARKET_CLOSED: "Market closed",
    mt5.TRADE_RETCODE_NO_MONEY: "No money",
    mt5.TRADE_RETCODE_PRICE_OFF: "No prices",
    mt5.TRADE_RETCODE_INVALID_EXPIRATION: "Invalid expiration",
    mt5.TRADE_RETCODE_ORDER_CHANGED: "Order state changed",
    mt5.TRADE_RETCODE_NO_CHANGES: "No changes",
    mt5.TRADE_RETCODE_CLIENT_DISABLES_AT: "AutoTrading disabled by client",
    mt5.TRADE_RETCODE_FROZEN: "Order or position frozen",
    mt5.TRADE_RETCODE_INVALID_FILL: "Unsupported filling mode",
    mt5.TRADE_RETCODE_CONNECTION: "No connection",
    mt5.TRADE_RETCODE_LIMIT_ORDERS: "Orders limit reached",
    mt5.TRADE_RETCODE_LIMIT_VOLUME: "Volume limit reached",
    mt5.TRADE_RETCODE_INVALID_ORDER: "Invalid order",
    mt5.TRADE_RETCODE_POSITION_CLOSED: "Position closed",
    mt5.TRADE_RETCODE_INVALID_CLOSE_VOLUME: "Invalid close volume",
    mt5.TRADE_RETCODE_CLOSE_ORDER_EXIST: "Close order already exists",
    mt5.TRADE_RETCODE_CLOSE_ONLY: "Only position closing is allowed",
}


class Failure(Exception):
    """
    A call that answers `None` (or `False`) and leaves its reason in `last_error`.

    `pending` is the exception that the package forgets to clear: Python then raises SystemError in place of the answer.
    """

    def __init__(self, code: int, text: str, pending: Exception | None = None) -> None:
        super().__init__(code, text)
        self.reason = (code, text)
        self.pending = pending


def invalid_argument(name: str, pending: Exception | None = None) -> Failure:
    """Return the refusal of one named argument: nothing has left the process."""
    return Failure(mt5.RES_E_INVALID_PARAMS, f'Invalid "{name}" argument', pending)


def invalid_arguments(text: str = "Invalid arguments", pending: Exception | None = None) -> Failure:
    """Return the refusal of a call whose arguments cannot be read at all."""
    return Failure(mt5.RES_E_INVALID_PARAMS, text, pending)


def call_failed() -> Failure:
    """Return the terminal's refusal to give the answer: unreadable, not empty."""
    return Failure(mt5.RES_E_FAIL, "Terminal: Call failed")


def invalid_params() -> Failure:
    """Return the terminal's refusal of arguments that could be read but mean nothing to it."""
    return Failure(mt5.RES_E_INVALID_PARAMS, "Terminal: Invalid params")


def no_memory() -> Failure:
    """Return the refusal of an answer that is too large for one call."""
    return Failure(mt5.RES_E_NO_MEMORY, "No memory")


def not_found() -> Failure:
    """Return the terminal's word that it knows no such thing."""
    return Failure(mt5.RES_E_NOT_FOUND, "Terminal: Not found")


def authorization_failed() -> Failure:
    """Return the refusal of a login or server that is not the account's."""
    return Failure(mt5.RES_E_AUTH_FAILED, "Terminal: Authorization failed")


def api_disabled() -> Failure:
    """Return the refusal of a terminal whose user forbade trading from Python."""
    return Failure(mt5.RES_E_AUTO_TRADING_DISABLED, "Auto-Trading using Python API disabled in Terminal")


def no_pipe() -> Failure:
    """Return what every call answers while there is no connection to a terminal."""
    return Failure(mt5.RES_E_INTERNAL_FAIL_CONNECT, "No IPC connection")


def broken_pipe() -> Failure:
    """Return what the call answers during which the connection broke: the request may have been executed."""
    return Failure(mt5.RES_E_INTERNAL_FAIL_RECEIVE, "IPC recv failed")


def no_terminal(why: str) -> Failure:
    """Return why the terminal could not be started."""
    return Failure(mt5.RES_E_INTERNAL_FAIL_INIT, f"IPC initialize failed, {why}")


def book_unusable() -> Failure:
    """Return the internal failure of a terminal that could not read or write its book."""
    return Failure(mt5.RES_E_INTERNAL_FAIL, "IPC call failed")

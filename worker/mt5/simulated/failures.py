"""What `last_error` tells after a call that gave no answer: codes and words of the package itself."""

from __future__ import annotations

from worker.mt5.simulated import constants as mt5

SUCCESS = (mt5.RES_S_OK, "Success")


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


def not_found() -> Failure:
    """Return the terminal's word that it knows no such thing."""
    return Failure(mt5.RES_E_NOT_FOUND, "Terminal: Not found")


def unsupported() -> Failure:
    """Return the terminal's word that it has no such function."""
    return Failure(mt5.RES_E_UNSUPPORTED, "Terminal: Unsupported function")


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

"""The package's functions about the terminal and the account: initialize, login, shutdown and who is there."""

from __future__ import annotations

import ntpath
from collections.abc import Mapping
from functools import lru_cache

from worker.mt5.simulated.money.account import account_info, standing
from worker.mt5.simulated.package import arguments
from worker.mt5.simulated.package.failures import Failure, authorization_failed
from worker.mt5.simulated.package.history import MAX_BARS
from worker.mt5.simulated.package.pipe import Calls, Pipe, call, yes_or_no
from worker.mt5.simulated.structs import Struct, TerminalInfo, named

VERSION = (500, 5260, "12 Sep 2025")


class SessionCalls(Calls):
    """`initialize`, `login`, `shutdown`, `version`, `last_error`, `terminal_info`, `account_info`."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__(pipe)
        self._program = ""

    @yes_or_no
    def initialize(self, *args: object, **settings: object) -> bool:
        """
        Connect to the terminal, after giving up a connection that stands.

        No program is started: a `path` only names the folder that `terminal_info` shows, `portable` changes nothing.
        """
        self.pipe.disconnect()
        given = arguments.start(args, settings)
        self.pipe.connect()
        self._program = given.get("path", "")
        try:
            return not any(given.get(name) for name in ("login", "password", "server")) or self._log_in(given)
        except Failure:
            self.pipe.disconnect()
            raise

    @yes_or_no
    def login(self, *args: object, **settings: object) -> bool:
        """Log in to an account."""
        return self._log_in(arguments.credentials(args, settings))

    @call
    def shutdown(self) -> bool:
        """Disconnect from the terminal."""
        self.pipe.disconnect()
        return True

    @call
    def version(self) -> tuple[int, int, str]:
        """Return the terminal's version, build and date."""
        self.pipe.desk()
        return VERSION

    def last_error(self) -> tuple[int, str]:
        """Return how the process's last call ended; the only call that changes nothing."""
        return self.pipe.error

    @call
    def terminal_info(self) -> Struct:
        """Return the state of the terminal; its data lies where the book does."""
        meta = self.pipe.desk().meta
        switches = bool(meta.connected), bool(meta.trade_allowed), bool(meta.tradeapi_disabled)
        return _terminal_info(*switches, program=self._program, folder=self.pipe.folder)

    @call
    def account_info(self) -> Struct:
        """Return the account with what its open positions add up to."""
        desk = self.pipe.desk()
        return account_info(desk.meta, standing(desk))

    def _log_in(self, given: Mapping[str, object]) -> bool:
        """Compare with the book's account; what is not given is right, and so is any password."""
        meta = self.pipe.desk().meta
        if given.get("login", meta.login) != meta.login or given.get("server") not in {None, "", meta.server}:
            raise authorization_failed()
        return True


@lru_cache(maxsize=8)
def _terminal_info(*switches: bool, program: str, folder: str) -> Struct:
    connected, trade_allowed, tradeapi_disabled = switches
    return named(
        TerminalInfo,
        community_account=False,
        community_connection=False,
        connected=connected,
        dlls_allowed=False,
        trade_allowed=trade_allowed,
        tradeapi_disabled=tradeapi_disabled,
        email_enabled=False,
        ftp_enabled=False,
        notifications_enabled=False,
        mqid=False,
        build=VERSION[1],
        maxbars=MAX_BARS,
        codepage=1252,
        ping_last=25_000,
        community_balance=0.0,
        retransmission=0.0,
        company="Simulated Broker",
        name="Simulated Terminal",
        language="English",
        path=ntpath.dirname(program) or folder,
        data_path=folder,
        commondata_path=folder,
    )

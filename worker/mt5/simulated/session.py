"""The package's functions about the terminal and the account: initialize, login, shutdown and who is there."""

from __future__ import annotations

from collections.abc import Mapping

from worker.mt5.simulated import arguments
from worker.mt5.simulated.account import account_info, standing
from worker.mt5.simulated.failures import Failure, authorization_failed, invalid_argument, invalid_arguments
from worker.mt5.simulated.pipe import Calls, call, yes_or_no
from worker.mt5.simulated.structs import Struct, TerminalInfo, named

VERSION = (500, 5260, "12 Sep 2025")


class SessionCalls(Calls):
    """`initialize`, `login`, `shutdown`, `version`, `last_error`, `terminal_info`, `account_info`."""

    @yes_or_no
    def initialize(self, *args: object, **settings: object) -> bool:
        """Connect to the terminal: `initialize([path], login=, password=, server=, timeout=, portable=)`."""
        if len(args) > 1:
            raise invalid_arguments("Invalid number of arguments")
        if args and not isinstance(args[0], str):
            raise invalid_arguments("Invalid 1st unnamed argument")
        _check(settings)
        if self.pipe.is_connected:
            return self._log_in(settings)
        self.pipe.connect()
        try:
            return self._log_in(settings)
        except Failure:
            self.pipe.disconnect()
            raise

    @yes_or_no
    def login(self, *args: object, **settings: object) -> bool:
        """Log in to an account: `login(login, password=, server=, timeout=)`."""
        if args:
            settings = {"login": args[0], **settings}
        _check(settings)
        return self._log_in(settings)

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
        """Return the state of the terminal."""
        meta = self.pipe.desk().meta
        return named(
            TerminalInfo,
            community_account=False,
            community_connection=False,
            connected=bool(meta.connected),
            dlls_allowed=False,
            trade_allowed=bool(meta.trade_allowed),
            tradeapi_disabled=bool(meta.tradeapi_disabled),
            email_enabled=False,
            ftp_enabled=False,
            notifications_enabled=False,
            mqid=False,
            build=VERSION[1],
            maxbars=100_000,
            codepage=1252,
            ping_last=25_000,
            community_balance=0.0,
            retransmission=0.0,
            company="Simulated Broker",
            name="Simulated Terminal",
            language="English",
            path="",
            data_path="",
            commondata_path="",
        )

    @call
    def account_info(self) -> Struct:
        """Return the account with what its open positions add up to."""
        desk = self.pipe.desk()
        return account_info(desk.meta, standing(desk))

    def _log_in(self, settings: Mapping[str, object]) -> bool:
        """Compare with the book's account; any password will do."""
        meta = self.pipe.desk().meta
        if settings.get("login", meta.login) != meta.login or settings.get("server", meta.server) != meta.server:
            raise authorization_failed()
        return True


def _check(settings: Mapping[str, object]) -> None:
    for name in ("login", "timeout"):
        arguments.whole(name, settings.get(name, 0))
    for name in ("path", "password", "server"):
        if not isinstance(settings.get(name, ""), str):
            raise invalid_argument(name)

"""The settings: the only reader of the environment. README.md lists every name with its default and meaning."""

from __future__ import annotations

import json
import ntpath
import os
import re
import socket
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from worker import failpoints
from worker.domain.checks import Limits
from worker.domain.errors import WrongSetting
from worker.domain.instrument import VolumePolicy
from worker.domain.limits import OrderLimits

LEASE_SECONDS = 5.0  # a standby takes over when the renewal counter has stood still this long
SEND_DEADLINE_SECONDS = 2.0  # a send starts within this time of its write-ahead commit; well below the lease
KNOWN_PIP_SIZES = {"XAUUSD": Decimal("0.1"), "US500": Decimal("0.1"), "BTCUSD": Decimal(1), "ETHUSD": Decimal("0.1")}

_BADLY_ENCODED = re.compile(r"\s|%(?![0-9A-Fa-f]{2})|^\w+://[^/?]*/[^?]*@")  # the last: a slash before the login's end
_ACCOUNT = re.compile(r"[A-Za-z0-9_-]+")
_Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
_PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
_Lots = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
_PositiveDecimal = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]


class Backend(StrEnum):
    """Which terminal executes."""

    SIMULATED = "simulated"
    NATIVE = "native"


class AccountMode(StrEnum):
    """How the broker keeps positions."""

    NETTING = "netting"
    HEDGING = "hedging"


class LogFormat(StrEnum):
    """How log lines are written."""

    CONSOLE = "console"
    JSON = "json"


class TerminalSession(BaseModel):
    """One terminal of the account. What it leaves out is taken from MT5_TERMINAL, MT5_LOGIN and so on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    terminal: str | None = None
    login: int | None = Field(default=None, gt=0)
    password: SecretStr | None = None
    server: str | None = None
    portable: bool = False


class Settings(BaseSettings):
    """All settings. Durations in seconds, slippage in pips, sizes in price; see the README's table."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True, enable_decoding=False
    )

    account: str = Field(default="main", description="The account's name in queues, routing keys and the ledger.")
    amqp_url: SecretStr | None = Field(default=None, description="RabbitMQ, amqp:// or amqps://.")
    postgres_url: SecretStr | None = Field(default=None, description="PostgreSQL, postgresql://.")

    mt5_backend: Backend | None = Field(default=None, description="`simulated` or `native`; `run` has no default.")
    mt5_terminal: str | None = Field(default=None, description="Path of terminal64.exe.")
    mt5_login: int | None = Field(default=None, gt=0)
    mt5_password: SecretStr | None = None
    mt5_server: str | None = None
    mt5_sessions: dict[str, TerminalSession] | None = Field(
        default=None, min_length=1, description="Several terminals of the account, JSON; the first answers questions."
    )
    mt5_simulated_book: Path | None = Field(default=None, description="File of the simulated broker's book.")
    account_mode: AccountMode | None = Field(default=None, description="Must match the account for `native`.")
    symbol_map: dict[str, str] = Field(default_factory=dict, description="RPM's names to the broker's, JSON.")

    max_slippage_pips: _PositiveDecimal = Decimal(10)
    max_slippage_pips_by_symbol: dict[str, _PositiveDecimal] = Field(default_factory=dict)
    pip_sizes: dict[str, _PositiveDecimal] = Field(default_factory=dict, description="Pip in price, per symbol, JSON.")
    min_margin_cushion: Annotated[Decimal, Field(ge=1, allow_inf_nan=False)] = Decimal("1.5")
    max_trade_age_seconds: _Seconds = 60
    max_tick_age_seconds: _PositiveSeconds = 30
    volume_policy: VolumePolicy = VolumePolicy.EXACT
    max_volume_shortfall: Annotated[Decimal, Field(ge=0, lt=1)] = Decimal("0.01")

    max_lots_per_order: _Lots = Field(default=Decimal(0), description="Lots; 0 = off.")
    max_lots_per_order_by_symbol: dict[str, _Lots] = Field(
        default_factory=dict, description="The same per symbol, JSON."
    )
    max_orders_per_minute: int = Field(default=0, ge=0, le=1_000_000, description="Sliding 60 s; 0 = off.")
    max_repeated_orders: int = Field(default=0, ge=0, le=1_000_000, description="Alike within the window; 0 = off.")
    repeat_window_seconds: _PositiveSeconds = 60

    order_timeout_seconds: _PositiveSeconds = 60
    max_retries: int = Field(default=3, ge=1, le=20, description="Sends in all.")
    retry_backoff_seconds: _Seconds = 1.0
    retry_after_proven_absent: bool = True
    poll_interval_seconds: _PositiveSeconds = 0.5
    terminal_call_timeout_seconds: _PositiveSeconds = 10
    unknown_horizon_seconds: _PositiveSeconds = 15
    max_in_flight: int = Field(default=1000, ge=1, le=100_000)
    drain_timeout_seconds: _Seconds = 20

    failpoints: str = Field(default="", description="Where a fault test ends this process; simulated broker only.")
    failpoints_log: Path | None = Field(default=None, description="File that every failpoint passed is written to.")

    log_format: LogFormat = LogFormat.CONSOLE
    log_level: str = "INFO"
    http_port: int = Field(default=0, ge=0, le=65_535, description="Where health and metrics are served; 0: nowhere.")
    http_host: str = Field(default="127.0.0.1", min_length=1, max_length=255, description="The address to serve at.")

    @field_validator(
        "mt5_sessions",
        "symbol_map",
        "max_slippage_pips_by_symbol",
        "max_lots_per_order_by_symbol",
        "pip_sizes",
        mode="before",
    )
    @classmethod
    def _json_is_read(cls, value: Any) -> Any:
        """Read it here, so that one that is no JSON is told with all other mistakes."""
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError(f"is no JSON: {error}") from None

    @field_validator("account")
    @classmethod
    def _account_is_a_name(cls, value: str) -> str:
        if not _ACCOUNT.fullmatch(value) or len(value) > 64:  # noqa: PLR2004 - leaves room in a routing key of 255 bytes
            raise ValueError("an account name is made of letters, digits, _ and -, at most 64 of them")
        return value

    @field_validator("log_level")
    @classmethod
    def _level_is_known(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("choose DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @field_validator("amqp_url", "postgres_url")
    @classmethod
    def _url_has_a_scheme(cls, value: SecretStr | None, info: Any) -> SecretStr | None:
        schemes = {"amqp_url": ("amqp://", "amqps://"), "postgres_url": ("postgresql://", "postgres://")}[
            info.field_name
        ]
        if value is not None and not value.get_secret_value().startswith(schemes):
            raise ValueError(f"must start with {' or '.join(schemes)}")
        return value

    @field_validator("postgres_url")
    @classmethod
    def _login_is_encoded(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse what would be read as something else, and shown as that: a part of the password as a port, say."""
        if value is not None and _BADLY_ENCODED.search(value.get_secret_value()):
            raise ValueError("percent-encode a / % or space that belongs to the user name or the password")
        return value

    @field_validator("failpoints")
    @classmethod
    def _failpoints_exist(cls, value: str) -> str:
        failpoints.read(value)
        return value

    @model_validator(mode="after")
    def _failpoints_are_for_tests(self) -> Self:
        if (self.failpoints or self.failpoints_log) and self.mt5_backend is not Backend.SIMULATED:
            raise ValueError("FAILPOINTS and FAILPOINTS_LOG end the worker on purpose: MT5_BACKEND must be simulated")
        if failpoints.need_a_log(self.failpoints) and self.failpoints_log is None:
            raise ValueError("FAILPOINTS: hold needs FAILPOINTS_LOG, beside which the file that ends it will stand")
        return self

    @field_validator("mt5_sessions")
    @classmethod
    def _sessions_have_names(cls, value: dict[str, TerminalSession] | None) -> dict[str, TerminalSession] | None:
        for name in value or ():
            if not _ACCOUNT.fullmatch(name):
                raise ValueError(f"session {name!r}: a name is made of letters, digits, _ and -")
        return value

    @model_validator(mode="after")
    def _sessions_have_terminals_of_their_own(self) -> Self:
        if self.mt5_backend is Backend.NATIVE and self.mt5_sessions is not None:
            sessions = self.terminal_sessions
            _no_two_alike({name: _spelled(one.terminal) for name, one in sessions.items()})
            for what in ("login", "server"):
                _all_alike(what, {name: getattr(one, what) for name, one in sessions.items()})
        return self

    @model_validator(mode="after")
    def _horizon_is_below_the_age(self) -> Self:
        if 0 < self.max_trade_age_seconds <= self.unknown_horizon_seconds:
            raise ValueError("UNKNOWN_HORIZON_SECONDS must be below MAX_TRADE_AGE_SECONDS (or that be 0)")
        return self

    @property
    def terminal_sessions(self) -> dict[str, TerminalSession]:
        """Return the account's terminals by name, in their order: the first answers questions, the others send."""
        common = TerminalSession(
            terminal=self.mt5_terminal, login=self.mt5_login, password=self.mt5_password, server=self.mt5_server
        )
        sessions = self.mt5_sessions or {"main": TerminalSession()}
        return {name: common.model_copy(update=_given(session)) for name, session in sessions.items()}

    @property
    def limits(self) -> Limits:
        """Return the desk's limits as the checks use them."""
        return Limits(
            max_slippage_pips=self.max_slippage_pips,
            max_slippage_pips_by_symbol=self.max_slippage_pips_by_symbol,
            pip_sizes={**KNOWN_PIP_SIZES, **self.pip_sizes},
            min_margin_cushion=self.min_margin_cushion,
            max_trade_age=timedelta(seconds=self.max_trade_age_seconds),
            max_tick_age=timedelta(seconds=self.max_tick_age_seconds),
            volume_policy=self.volume_policy,
            max_volume_shortfall=self.max_volume_shortfall,
            max_lots=self.max_lots_per_order,
            max_lots_by_symbol=self.max_lots_per_order_by_symbol,
        )

    @property
    def order_limits(self) -> OrderLimits:
        """Return how many orders may be sent in a while."""
        return OrderLimits(self.max_orders_per_minute, self.max_repeated_orders, self.repeat_window_seconds)

    @property
    def limits_in_force(self) -> dict[str, str]:
        """Return the pre-trade limits that are switched on, by the names of their settings."""
        window = f"{self.max_repeated_orders} within {self.repeat_window_seconds:g} s"
        listed = ", ".join(f"{symbol} {lots}" for symbol, lots in self.max_lots_per_order_by_symbol.items())
        known = {
            "MAX_LOTS_PER_ORDER": self.max_lots_per_order and str(self.max_lots_per_order),
            "MAX_LOTS_PER_ORDER_BY_SYMBOL": listed,
            "MAX_ORDERS_PER_MINUTE": self.max_orders_per_minute and str(self.max_orders_per_minute),
            "MAX_REPEATED_ORDERS": self.max_repeated_orders and window,
        }
        return {name: str(limit) for name, limit in known.items() if limit}

    @property
    def secrets(self) -> frozenset[str]:
        """Return every password among the settings, as it is written there: no line of the log shows one."""
        urls = [url.get_secret_value() for url in (self.amqp_url, self.postgres_url) if url is not None]
        sessions = [session.password for session in self.terminal_sessions.values()]
        passwords = [secret.get_secret_value() for secret in (self.mt5_password, *sessions) if secret is not None]
        return frozenset(filter(None, [*passwords, *(one for url in urls for one in _passwords_in(url))]))

    def broker_symbol(self, symbol: str) -> str:
        """Return the broker's name of RPM's symbol."""
        return self.symbol_map.get(symbol, symbol)

    def need_amqp_url(self) -> str:
        """Return AMQP_URL or say that it is missing."""
        return self._need("AMQP_URL", self.amqp_url)

    def need_postgres_url(self) -> str:
        """Return POSTGRES_URL or say that it is missing."""
        return self._need("POSTGRES_URL", self.postgres_url)

    def need_backend(self) -> Backend:
        """Return MT5_BACKEND, or say that it is missing and why it has no default, or that it cannot work here."""
        if self.mt5_backend is None:
            choices = " or ".join(Backend)
            raise WrongSetting(
                f"MT5_BACKEND: is not set; say {choices}. There is no default, so that simulated fills are never taken "
                f"for real ones"
            )
        if self.mt5_backend is Backend.NATIVE and find_spec("MetaTrader5") is None:
            raise WrongSetting(
                "MT5_BACKEND: native needs the MetaTrader5 package (it exists for Windows only), which is not installed"
            )
        return self.mt5_backend

    @staticmethod
    def _need(name: str, value: SecretStr | None) -> str:
        if value is None:
            raise WrongSetting(f"{name}: is not set, and this command needs it")
        return value.get_secret_value()


def _passwords_in(url: str) -> Iterator[str]:
    """Yield what stands where a URL has its password: before the host, or among its parameters."""
    whole = url.partition("://")[2]
    address, _, parameters = whole.partition("?")
    for text in (address, whole):  # some passwords hold what ought to have been written otherwise
        yield text.rpartition("@")[0].partition(":")[2]
    for parameter in parameters.split("&"):
        name, _, value = parameter.partition("=")
        if name.lower().endswith("password"):
            yield value


def _given(session: TerminalSession) -> dict[str, Any]:
    return {name: getattr(session, name) for name in session.model_fields_set if getattr(session, name) is not None}


def _spelled(terminal: str | None) -> str | None:
    return None if terminal is None else ntpath.normcase(ntpath.normpath(terminal))


def _no_two_alike(terminals: Mapping[str, str | None]) -> None:
    known: dict[str | None, str] = {}
    for name, terminal in terminals.items():
        if terminal is None and len(terminals) > 1:
            raise ValueError(f"MT5_SESSIONS: session {name} has no terminal; name the path of its terminal64.exe")
        if terminal in known:
            raise ValueError(
                f"MT5_SESSIONS: sessions {known[terminal]} and {name} share one terminal; each needs its own"
            )
        known[terminal] = name


def _all_alike(what: str, values: Mapping[str, object]) -> None:
    (first, expected), *others = values.items()
    for name, value in others:
        if value != expected:
            raise ValueError(
                f"MT5_SESSIONS: session {name} has {what} {value}, session {first} {expected}; all are of one account"
            )


def read_settings(**overrides: Any) -> Settings:
    """Read environment and `.env`; raises WrongSetting with one line per mistake and no value that may be secret."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise WrongSetting("\n".join(_lines(error))) from None


def _lines(error: ValidationError) -> list[str]:
    problems = error.errors(include_url=False, include_input=False)
    return [f"{_name(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}" for problem in problems]


def _name(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location).upper() or "settings"


def simulated_book_from_environment() -> Path | None:
    """Return MT5_SIMULATED_BOOK for programs that use the simulated terminal without the worker."""
    value = os.environ.get("MT5_SIMULATED_BOOK")
    return Path(value) if value else None


def shared_folder() -> Path:
    """Return a folder that every user of this machine may write to; on Windows the temporary one is each user's own."""
    return Path(os.environ.get("PROGRAMDATA") or tempfile.gettempdir())


def inherited_environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with some variables more, for a process of our own."""
    return {**os.environ, **more}


def bare_environment() -> dict[str, str]:
    """Return what starting another Python takes of the environment, and none of the user's settings."""
    names = ("PATH", "HOME", "TMPDIR", "TEMP", "TMP", "LANG", "SYSTEMROOT")
    return {name: os.environ[name] for name in names if name in os.environ}


def worker_id() -> str:
    """Return a name for this process: host and process number."""
    return f"{socket.gethostname()}:{os.getpid()}"

"""MetaTrader's structures, read into the domain's values."""

from __future__ import annotations

import ntpath
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any

from worker.domain.instrument import Instrument
from worker.domain.market import BrokerDeal, BrokerOrder, BrokerPosition, Health
from worker.domain.token import token_in

TRADES = frozenset({0, 1})  # DEAL_TYPE_BUY, DEAL_TYPE_SELL; balance, credit and charges are deals too
_HEDGING = 2  # ACCOUNT_MARGIN_MODE_RETAIL_HEDGING
_REAL = 2  # ACCOUNT_TRADE_MODE_REAL; demo and contest accounts are both demo to us
_PLACES = 10  # finer than any price or volume, coarser than the noise of a float
_TEXTS_AND_CODES = attrgetter(
    *("name", "currency_base", "currency_profit", "digits"),
    *("trade_mode", "trade_exemode", "filling_mode", "trade_calc_mode"),
)
_AMOUNTS = attrgetter(
    *("point", "trade_tick_size", "trade_contract_size"),
    *("volume_min", "volume_max", "volume_step", "volume_limit"),
)


@lru_cache(maxsize=4096, typed=True)  # the same volumes and specifications all the time, the same prices for a moment
def exact(number: float, places: int = _PLACES) -> Decimal:
    """Turn MetaTrader's float into the decimal it stands for."""
    return Decimal(str(round(number, places)))


def venue_mode(backend: str, account: Any) -> str:
    """Return `simulated`, `demo` or `live`."""
    if backend == "simulated":
        return "simulated"
    return "live" if account.trade_mode == _REAL else "demo"


def account_mode(account: Any) -> str:
    """Return `netting` or `hedging`."""
    return "hedging" if account.margin_mode == _HEDGING else "netting"


def health(terminal: Any, account: Any, backend: str, expected: tuple[int, str], program: str | None = None) -> Health:
    """Judge whether an order could be sent now to the expected login and server, by the terminal of that program."""
    problem = wrong_program(terminal, program) or _problem(terminal, account, expected)
    if account is None:
        return Health(bool(terminal and terminal.connected), False, 0, "", "", "", Decimal(0), problem)  # noqa: FBT003 - logged out: not allowed to trade
    return Health(
        connected=bool(terminal and terminal.connected),
        trade_allowed=_trading_problem(terminal, account) is None,
        login=account.login,
        server=account.server,
        venue_mode=venue_mode(backend, account),
        account_mode=account_mode(account),
        margin_free=exact(account.margin_free),
        problem=problem,
    )


def is_account(reading: Health, expected: tuple[int, str]) -> bool:
    """Tell whether the terminal is logged in where it should be."""
    return (reading.login, reading.server) == expected


def wrong_program(terminal: Any, program: str | None) -> str | None:
    """Tell when this is not the terminal of a program (its full path; None: any will do); None when it is."""
    if program is None:
        return None
    if terminal is None:
        return f"the terminal at hand does not tell which one it is, expected {program}"
    if _folder(terminal.path) == _folder(ntpath.dirname(program)):
        return None
    return f"the terminal at hand is the one in {terminal.path}, expected {program}"


def _folder(path: str) -> str:
    """Return a folder in the one spelling that Windows takes for all of its spellings."""
    return ntpath.normcase(ntpath.normpath(path))


def _problem(terminal: Any, account: Any, expected: tuple[int, str]) -> str | None:
    if terminal is None:
        return "the terminal does not tell its state"
    if account is None:
        return "the terminal is logged out"
    if (account.login, account.server) != expected:
        return (
            f"the terminal is logged in to {account.login} at {account.server}, expected {expected[0]} at {expected[1]}"
        )
    if not terminal.connected:
        return "the terminal is disconnected from the trade server"
    return _trading_problem(terminal, account)


def _trading_problem(terminal: Any, account: Any) -> str | None:
    if terminal is None or terminal.tradeapi_disabled:
        return "the terminal does not let other programs trade (Options, Expert Advisors)"
    if not terminal.trade_allowed:
        return "algorithmic trading is switched off in the terminal (the Algo Trading button)"
    if not account.trade_allowed:
        return "the account may not trade (an investor password, or the broker has disabled it)"
    if not account.trade_expert:
        return "the broker does not let programs trade on this account"
    return None


def instrument(info: Any) -> Instrument:
    """Read a symbol's specification; raises ValueError when the terminal has not got all of it."""
    read = _instrument(_TEXTS_AND_CODES(info), _AMOUNTS(info))
    if not (read.point > 0 and read.contract_size > 0 and read.volume_step > 0):
        raise ValueError(f"the specification of {read.symbol} is incomplete")
    return read


@lru_cache(maxsize=1024)  # asked for with every quote, and the same every time
def _instrument(texts_and_codes: tuple[Any, ...], amounts: tuple[float, ...]) -> Instrument:
    symbol, base, profit, digits, trade_mode, execution_mode, filling_flags, calc_mode = texts_and_codes
    point, tick_size, contract_size, volume_min, volume_max, volume_step, volume_limit = map(exact, amounts)
    return Instrument(
        symbol=symbol,
        base=base,
        profit=profit,
        digits=digits,
        point=point,
        tick_size=tick_size or point,
        contract_size=contract_size,
        volume_min=volume_min,
        volume_max=volume_max,
        volume_step=volume_step,
        volume_limit=volume_limit,
        trade_mode=trade_mode,
        execution_mode=execution_mode,
        filling_flags=filling_flags,
        calc_mode=calc_mode,
    )


def order(row: Any, *, historical: bool) -> BrokerOrder:
    """Read an order. Its magic is the token of the comment where the broker has dropped the magic."""
    return BrokerOrder(
        ticket=row.ticket,
        magic=token_of(row),
        symbol=row.symbol,
        state=row.state,
        volume_initial=exact(row.volume_initial),
        volume_current=exact(row.volume_current),
        position_id=row.position_id,
        comment=row.comment,
        historical=historical,
    )


def deal(row: Any, time: datetime, tokens: Mapping[int, int]) -> BrokerDeal:
    """Read a deal done at `time` (UTC). Its magic is its token, see `token_of_deal`."""
    return BrokerDeal(
        ticket=row.ticket,
        order=row.order,
        magic=token_of_deal(row, tokens),
        position_id=row.position_id,
        symbol=row.symbol,
        volume=exact(row.volume),
        price=exact(row.price),
        commission=exact(row.commission),
        fee=exact(row.fee),
        time=time,
        comment=row.comment,
    )


def position(row: Any) -> BrokerPosition:
    """Read a position. Its magic is read as an order's is; its identifier is the ticket of the order that opened it."""
    return BrokerPosition(
        ticket=row.ticket,
        opened_by=row.identifier,
        magic=token_of(row),
        symbol=row.symbol,
        volume=exact(row.volume),
        comment=row.comment,
    )


def token_of(row: Any) -> int:
    """Return the magic of an order, deal or position, else the token in its comment, else 0."""
    return int(row.magic) or token_in(row.comment) or 0


def token_of_deal(row: Any, tokens: Mapping[int, int]) -> int:
    """Return a deal's own token, else that of its order, which a broker may have left alone; else 0."""
    return token_of(row) or tokens.get(row.order, 0)


def tokens_by_ticket(orders: Iterable[Any]) -> dict[int, int]:
    """Return the tokens of those orders that carry one, by the order's ticket."""
    return {row.ticket: token for row in orders if (token := token_of(row))}


def as_json(struct: Any) -> dict[str, object]:
    """Return one of the package's structures as a dictionary of JSON values."""
    fields: dict[str, Any] = struct._asdict()
    return {name: as_json(value) if isinstance(value, tuple) else value for name, value in fields.items()}

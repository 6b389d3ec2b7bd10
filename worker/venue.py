"""Whether the account that a terminal shows is one that this worker may trade."""

from __future__ import annotations

from collections.abc import Sequence

from worker.domain.broker_facts import StoredFacts
from worker.domain.errors import WrongSetting
from worker.mt5.wire import VenueFacts
from worker.settings import Backend, Settings


def insist_on_account_mode(settings: Settings, facts: VenueFacts) -> None:
    """Stop when ACCOUNT_MODE is not the account's: an opposite trade means another thing in each mode."""
    if settings.mt5_backend is not Backend.NATIVE and settings.account_mode is None:
        return
    if settings.account_mode is None or settings.account_mode.value != facts.account_mode:
        raise WrongSetting(
            f"ACCOUNT_MODE: is {settings.account_mode or 'not set'}, and account {facts.venue.login} at "
            f"{facts.venue.server} is {facts.account_mode}; set it to what RPM expects of this account, "
            f"or use the right account"
        )


def insist_on_kept_magic(known: Sequence[StoredFacts]) -> None:
    """
    Stop on a broker that drops the magic number: no order or deal could be told to be this or that trade's.

    The newest canary decides, whatever its symbol: an older one's may not exist any more.
    """
    newest = max(known, key=lambda measured: measured.measured_at, default=None)
    if newest is not None and not newest.keeps_magic:
        raise WrongSetting(
            f"MT5_SERVER: {newest.server} does not keep the magic number of an order on login {newest.login}: a canary "
            f"on {newest.symbol} found so on {newest.measured_at:%Y-%m-%d %H:%M} UTC. No order there can be attributed "
            "to its trade, so none is sent. Ask the broker; then fly the canary again (`mt5-worker doctor --broker`): "
            "the newest decides"
        )

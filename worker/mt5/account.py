"""The account of a worker: all of its sessions must be logged in to the same one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.domain.errors import WrongSetting
from worker.domain.market import Health
from worker.mt5.wire import VenueFacts


@dataclass(frozen=True, slots=True)
class OneAccount:
    """The account, as the session of that name has shown it."""

    session: str
    facts: VenueFacts

    def insist_on(self, session: str, facts: VenueFacts) -> None:
        """Raise WrongSetting when another session is not logged in to it."""
        if (facts.venue, facts.account_mode) != (self.facts.venue, self.facts.account_mode):
            raise WrongSetting(
                f"MT5_SESSIONS: session {session} is logged in to {_account(facts)}, session {self.session} to "
                f"{_account(self.facts)}; all must show the same account: log in to it there and restart the worker, "
                f"or take {session} out"
            )

    def is_seen_by(self, health: Health) -> bool:
        """Tell whether what a terminal shows is the present state of this account, whether or not it may trade."""
        venue = self.facts.venue
        return health.connected and (health.login, health.server) == (venue.login, venue.server)


def insist_on_one_account(sessions: Mapping[str, VenueFacts]) -> OneAccount:
    """Return the account of the first of these sessions; raises WrongSetting when another one has another."""
    (first, expected), *others = sessions.items()
    account = OneAccount(first, expected)
    for name, facts in others:
        account.insist_on(name, facts)
    return account


def _account(facts: VenueFacts) -> str:
    return f"{facts.venue.login} at {facts.venue.server} ({facts.venue.mode}, {facts.account_mode})"

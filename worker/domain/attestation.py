"""What an operator attests of a trade whose outcome no evidence could end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Statement:
    """Who attests it, why, and when (UTC)."""

    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AttestedDeal:
    """A deal by the broker's ticket; its lots and its price are None when the operator does not know them."""

    ticket: int
    lots: Decimal | None = None
    price: Decimal | None = None

    @property
    def has_figures(self) -> bool:
        """Tell whether it says more than the ticket."""
        return self.lots is not None

"""
The trade server's clock.

MetaTrader writes times as the server's wall clock encoded as an epoch, often two or three hours ahead of UTC, and
names the zone nowhere. The difference is measured: a price seen to change was quoted just now. It changes with
daylight saving, and what was written before such a change stays as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_STEP = timedelta(minutes=15)  # every time zone in use is a multiple of it
_STEP_MILLISECONDS = _STEP // timedelta(milliseconds=1)
_ZONES = (timedelta(hours=-12), timedelta(hours=14))
_WATCHED_WITHIN = timedelta(seconds=60)  # a change between two looks further apart may be old
_MEMORY = timedelta(minutes=10)  # after that another symbol may say that the clocks have been put back
_MARGIN = timedelta(seconds=5)
_DAY = timedelta(days=1)
_DAYLIGHT_SAVING = timedelta(hours=1)
_ALWAYS = datetime.min.replace(tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Watch:
    """What was seen of one symbol: its last price's time, when it was looked at, and what its changes say."""

    tick: int
    seen_at: datetime
    candidate: timedelta | None = None
    confirmed: timedelta | None = None
    confirmed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Era:
    """An offset, and since when (UTC, within a look or two) the server's clock has had it."""

    offset: timedelta
    since: datetime


class ServerClock:
    """
    Measures the offset of the server's wall clock from UTC, in steps of 15 minutes.

    A symbol's measurement counts once two of its changes agree: after a reconnect the first "change" may be an old
    price coming in. Late quotes can only make the offset look too small, so the largest of the symbols' recent
    measurements is taken; a symbol that is quoted with a delay never moves it. A price that is a quarter of an hour
    older than the one before it means that the clock was put back: then everything is measured anew.
    """

    def __init__(self) -> None:
        self._watches: dict[str, _Watch] = {}
        self._offset: timedelta | None = None
        self._held_at = _ALWAYS  # when the present offset was last seen to hold
        self._eras: list[_Era] = []  # oldest first
        self._lag = timedelta(0)

    @property
    def offset(self) -> timedelta | None:
        """Return server time minus UTC; None until it has been measured."""
        return self._offset

    def observe(self, symbol: str, tick_milliseconds: int, now: datetime) -> None:
        """Take in a tick's server time (epoch, milliseconds) as it was read at `now` (UTC)."""
        watch = self._watches.get(symbol)
        if watch is None:
            self._watches[symbol] = _Watch(tick_milliseconds, now)
            return
        if tick_milliseconds <= watch.tick - _STEP_MILLISECONDS:
            self._measure_anew()
            self._watches[symbol] = _Watch(tick_milliseconds, now)
            return
        changed = tick_milliseconds > watch.tick and now - watch.seen_at <= _WATCHED_WITHIN
        watch.tick, watch.seen_at = tick_milliseconds, now
        if changed:
            self._measure(watch, _wall_clock(tick_milliseconds) - now)

    def to_utc(self, server_milliseconds: int, now: datetime) -> datetime | None:
        """
        Convert a server time (epoch, milliseconds), read at `now`, into UTC; None while the offset is not known.

        It is read by the clock of its time, and never lies in the future.
        """
        if self._offset is None:
            return None
        wall = _wall_clock(server_milliseconds)
        fitting = (wall - era.offset for era in reversed(self._eras) if era.since <= wall - era.offset < now + _MARGIN)
        return min(next(fitting, wall - self._offset), now)

    def window(self, since: datetime, now: datetime) -> tuple[int, int]:
        """
        Return a history window in server time (epoch, seconds) that surely holds all from `since` (UTC) until now.

        It ends a day ahead, so that nothing fresh is missed. It begins 5 s early, plus what the server was seen
        to lag behind this machine; a day early while the offset is not known.
        """
        if self._offset is None:
            begin, end = since - _DAY, now + _DAY
        else:
            begin, end = since + self._offset - self._lag - _MARGIN, now + self._offset + _DAY
        return int(begin.timestamp()), int(end.timestamp()) + 1

    def search_window(self, since: datetime, now: datetime) -> tuple[int, int]:
        """
        Return a window in server time (epoch, seconds) with a day's margin on both sides of [`since`, `now`] (UTC).

        Two days while the offset is not known, which is less than one.
        """
        margin = _DAY if self._offset is not None else 2 * _DAY
        offset = self._offset or timedelta(0)
        return int((since + offset - margin).timestamp()), int((now + offset + margin).timestamp()) + 1

    def _measure(self, watch: _Watch, difference: timedelta) -> None:
        offset = round(difference / _STEP) * _STEP
        if not _ZONES[0] <= offset <= _ZONES[1]:
            return
        if offset == watch.candidate:
            watch.confirmed, watch.confirmed_at = offset, watch.seen_at
            self._adopt(self._largest(watch.seen_at))
            if offset == self._offset:
                self._held_at = watch.seen_at
                self._lag = max(timedelta(0), offset - difference)
        watch.candidate = offset

    def _largest(self, now: datetime) -> timedelta:
        return max(
            watch.confirmed
            for watch in self._watches.values()
            if watch.confirmed is not None and watch.confirmed_at is not None and now - watch.confirmed_at <= _MEMORY
        )

    def _adopt(self, offset: timedelta) -> None:
        """Begin an era when the clock was moved by an hour; any other difference corrects what was measured before."""
        self._offset = offset
        if not self._eras:
            self._eras.append(_Era(offset, _ALWAYS))
        elif abs(offset - self._eras[-1].offset) == _DAYLIGHT_SAVING:
            self._eras.append(_Era(offset, self._held_at))
        else:
            self._eras[-1] = _Era(offset, self._eras[-1].since)

    def _measure_anew(self) -> None:
        self._watches.clear()
        self._offset = None


def _wall_clock(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)

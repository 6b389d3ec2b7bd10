"""
What happens in a storm, and when: trades, repeats and faults, decided by the seed alone.

Times are seconds from the first trade. Every fault ends by itself; after the last one there is calm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from random import Random

from tests.faults.ends import BEHAVIOURS
from tests.faults.wire_formats import AMQP_MOMENTS, POSTGRES_MOMENTS, Moment, Towards
from tests.fixtures.rpm import LONG, SHORT

TRADES = 100
PUBLISHING_SECONDS = 8.0
FAULTS_SECONDS = 12.0

# Units of ten volume steps, so that 60 % of any number of them is on the step as well
_TEN_STEPS = {
    "EURUSD": 10_000.0,
    "GBPUSD": 10_000.0,
    "AUDUSD": 10_000.0,
    "USDJPY": 10_000.0,
    "EURJPY": 10_000.0,
    "XAUUSD": 10.0,
    "US500": 1.0,
    "BTCUSD": 0.1,
    "ETHUSD": 1.0,
}
# How often each behaviour comes beyond once; those that stop the terminal for seconds come once only.
_WEIGHTS = {"": 24, "slip": 4, "partial": 6, "multi": 5, "pending": 2, "slow": 4, "race": 3, "late": 2, "requote": 4}
_WEIGHTS |= {"timeout": 3, "hidden": 4, "nocomment": 4, "reject": 2, "lostreply": 1, "notsent": 1, "nohistory": 1}


class Target(Enum):
    """What a fault befalls."""

    WORKER = "worker"
    SESSION = "session"
    BROKER = "broker"
    RABBITMQ = "rabbitmq"
    POSTGRES = "postgres"


class Trick(Enum):
    """What a fault does."""

    KILL = "kill"
    FREEZE = "freeze"
    DISCONNECT = "disconnect"
    FORGET = "forget"
    RESET = "reset"
    CLOSE = "close"
    REFUSE = "refuse"
    STALL = "stall"
    LOSE = "lose"
    DELAY = "delay"
    CUT_AT = "cut at"


@dataclass(frozen=True)
class Fault:
    """One fault: from `at` for `seconds` (0: in a moment), in a direction or at a message where it has one."""

    at: float
    target: Target
    trick: Trick
    seconds: float = 0.0
    towards: Towards | None = None
    moment: Moment | None = None

    def __str__(self) -> str:
        details = [self.moment and str(self.moment), self.towards and f"towards the {self.towards.value}"]
        words = [self.trick.value, self.target.value, *(one for one in details if one)]
        return f"{self.at:5.2f} s: {' '.join(words)}" + (f" for {self.seconds:.2f} s" if self.seconds else "")


@dataclass(frozen=True)
class PlannedTrade:
    """One trade: when it is published, and when its message comes again."""

    number: int
    at: float
    symbol: str
    direction: int
    units: float
    repeats: tuple[float, ...]


@dataclass(frozen=True)
class Plan:
    """A whole storm."""

    seed: int
    max_in_flight: int
    trades: tuple[PlannedTrade, ...]
    faults: tuple[Fault, ...]


def plan(seed: int, trades: int = TRADES) -> Plan:
    """Return the storm of a seed."""
    random = Random(seed)  # noqa: S311 - it is to be repeatable
    return Plan(
        seed=seed,
        max_in_flight=random.choice([30, 1000, 1000]),
        trades=tuple(_trades(random, trades)),
        faults=tuple(sorted(_faults(random), key=lambda fault: fault.at)),
    )


def _trades(random: Random, count: int) -> Iterator[PlannedTrade]:
    """Return trades that differ in symbol, side or size, in bursts."""
    suffixes = [*BEHAVIOURS, *random.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=count - len(BEHAVIOURS))]
    random.shuffle(suffixes)
    bursts = [random.uniform(0, PUBLISHING_SECONDS) for _ in range(random.randint(4, 9))]
    times = sorted(random.choice([0.0, *bursts]) for _ in suffixes)
    seen: Counter[tuple[str, int]] = Counter()
    for number, (at, suffix) in enumerate(zip(times, suffixes, strict=True)):
        base, direction = random.choice(list(_TEN_STEPS)), random.choice([LONG, SHORT])
        symbol = f"{base}.{suffix}" if suffix else base
        seen[symbol, direction] += 1
        units = round(_TEN_STEPS[base] * seen[symbol, direction], 8)
        repeats = tuple(at + random.uniform(0, 6) for _ in range(random.choices([0, 1, 3], [80, 15, 5])[0]))
        yield PlannedTrade(number, at, symbol, direction, units, repeats)


def _faults(random: Random) -> Iterator[Fault]:
    """Return some faults of every sort; what costs the machine most comes least."""

    def at() -> float:
        return random.uniform(0.2, FAULTS_SECONDS)

    for _ in range(random.choice([1, 1, 2])):
        yield Fault(at(), Target.WORKER, Trick.KILL)
    for _ in range(random.choice([0, 1, 2])):
        yield Fault(at(), Target.SESSION, Trick.KILL)
    if random.random() < 0.4:
        yield Fault(at(), Target.WORKER, Trick.FREEZE, random.choice([0.5, 1.5, 3.0, 7.0]))
    if random.random() < 0.4:
        yield Fault(at(), Target.SESSION, Trick.FREEZE, random.uniform(0.3, 4.0))
    if random.random() < 0.4:
        trick = random.choice([Trick.DISCONNECT, Trick.FORGET, Trick.FREEZE])
        yield Fault(at(), Target.BROKER, trick, random.uniform(0.3, 3.0))
    for target, moments in ((Target.RABBITMQ, AMQP_MOMENTS), (Target.POSTGRES, POSTGRES_MOMENTS)):
        for moment in (*moments, random.choice(moments)):
            yield Fault(at(), target, Trick.CUT_AT, moment=moment)
        for _ in range(random.randint(1, 3)):
            yield _wire_trick(random, at(), target)


def _wire_trick(random: Random, at: float, target: Target) -> Fault:
    match random.choice([Trick.RESET, Trick.CLOSE, Trick.REFUSE, Trick.STALL, Trick.LOSE, Trick.DELAY]):
        case Trick.RESET | Trick.CLOSE as trick:
            return Fault(at, target, trick)
        case Trick.STALL | Trick.LOSE as trick:
            return Fault(at, target, trick, random.uniform(0.3, 5.0), towards=random.choice(list(Towards)))
        case trick:
            return Fault(at, target, trick, random.uniform(0.3, 3.0))

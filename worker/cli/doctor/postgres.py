"""What `doctor` asks PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta

from worker.cli.doctor.finding import Finding, Verdict, judged, unusable
from worker.domain.errors import SchemaMismatch, ServiceUnavailable, WrongSetting
from worker.ledger import inspection, schema
from worker.ledger.inspection import ServerFacts
from worker.settings import Settings

OLDEST_VERSION = 140_000
CLOCK_NOTICED = timedelta(seconds=1)
CLOCK_TOLERATED = timedelta(seconds=5)  # an approval from further in the future is refused


async def postgres(settings: Settings) -> AsyncIterator[Finding]:
    """Look at the ledger's server, schema and rights, and at the clock they share with us."""
    try:
        url = settings.need_postgres_url()
        facts = await inspection.inspect(url)
        for finding in _server(facts):
            yield finding
        yield _clock(facts)
        await schema.check(url)
        yield Finding("ledger", Verdict.OK, "the schema is this program's")
        yield _rights(facts.user_name, await inspection.missing_rights(url))
    except SchemaMismatch as error:
        yield Finding("ledger", Verdict.FAIL, str(error), "run `mt5-worker db migrate` as the database's owner")
    except (WrongSetting, ServiceUnavailable) as error:
        yield unusable("PostgreSQL", error, "start PostgreSQL, or correct POSTGRES_URL")


def _server(facts: ServerFacts) -> Iterator[Finding]:
    yield judged("PostgreSQL", facts.version_number >= OLDEST_VERSION, facts.version, "use PostgreSQL 14 or newer")
    yield judged(
        "PostgreSQL role",
        not facts.read_only,
        "a standby, read-only" if facts.read_only else "takes writes",
        "point POSTGRES_URL at the primary",
    )
    yield judged(
        "PostgreSQL durability",
        facts.fsync and facts.full_page_writes,
        f"fsync {_on(facts.fsync)}, full_page_writes {_on(facts.full_page_writes)}, "
        f"synchronous_commit {facts.synchronous_commit}",
        "switch them on: without them a power cut loses what was confirmed",
    )
    yield judged(
        "PostgreSQL standbys",
        not facts.standbys or bool(facts.synchronous_standbys),
        f"{facts.standbys}, synchronous: {facts.synchronous_standbys or 'none'}",
        "set synchronous_standby_names: a failover to an asynchronous standby loses what was confirmed",
        Verdict.WARN,
    )


def _clock(facts: ServerFacts) -> Finding:
    off, error = facts.clock_ahead, facts.clock_error.total_seconds()
    return judged(
        "clock",
        abs(off) <= CLOCK_NOTICED,
        f"PostgreSQL's is {off.total_seconds():+.3f} s from ours, known to {error:.3f} s",
        "let all machines follow a time server",
        Verdict.WARN if abs(off) <= CLOCK_TOLERATED else Verdict.FAIL,
    )


def _rights(user: str, missing: Sequence[str]) -> Finding:
    lacks = f"{user} lacks {', '.join(missing)}" if missing else f"{user} may do all that the worker does"
    return judged("PostgreSQL rights", not missing, lacks, f"grant mt5_worker to {user}")


def _on(switch: bool) -> str:
    return "on" if switch else "off"

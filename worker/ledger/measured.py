"""What the meter is told of a committed job."""

from __future__ import annotations

from worker.ledger.admit import Admit
from worker.ledger.job import Job
from worker.ledger.record import Record
from worker.ledger.refuse import Refuse
from worker.metering import Meter
from worker.ports import Admission, Admittance


def tell(meter: Meter, job: Job[object], result: object) -> None:
    """Tell it what the job has changed; of one that raised, or found everything done, there is nothing to tell."""
    match job, result:
        case Record(change=change), _ if not isinstance(result, Exception):
            meter.recorded(change)
        case Admit(arrival=arrival), Admission(admittance=Admittance.NEW):
            meter.admitted(arrival)
        case Refuse(refused=refused), True:
            meter.refused(refused)

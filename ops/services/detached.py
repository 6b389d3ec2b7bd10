"""Services that stay when the command that started them has ended: `mt5-worker services up|down|status`.

What was started is written to ``.services/state.json`` in the working folder, passwords included, readable by its
owner only. Nothing is ever ended by name or port: only the very processes, or the compose project, that ``up`` made.
"""

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.services.answers import amqp_answers, postgres_answers
from ops.services.compose import Compose, remove_project
from ops.services.errors import ServiceFailed
from ops.services.keeper import wait_until
from ops.services.places import PREFIX
from ops.services.private import PrivateService
from ops.services.service import Services
from ops.services.start import open_services, say
from ops.services.ways import Way

FOLDER = Path(".services")
_STATE = "state.json"
_SECONDS_TO_END = 20.0


@dataclass(frozen=True)
class Keeper:
    """The process that keeps one private service; ``started`` tells it from a later one with the same id."""

    pid: int
    started: int
    folder: str

    def lives(self) -> bool:
        """Tell whether this very process still runs."""
        return _start_time(self.pid) == self.started


@dataclass(frozen=True)
class State:
    """What ``up`` started: private services with their keepers, or a compose project."""

    way: str
    amqp_url: str
    postgres_url: str
    keepers: list[Keeper]
    project: str | None = None


@dataclass(frozen=True)
class Status:
    """What ``up`` started, and which of it answers now."""

    state: State
    rabbitmq_ready: bool
    postgres_ready: bool


def up(folder: Path = FOLDER, *, tell: Callable[[str], None] = say) -> State:
    """Start services that stay, and return where they are; when they are up already, only return that.

    Raises:
        ServicesUnavailable: this machine offers no way; the text says what to do.
        ServiceFailed: a service did not come up, or one of an earlier ``up`` no longer answers.

    """
    present = status(folder)
    if present is not None and present.rabbitmq_ready and present.postgres_ready:
        return present.state
    if present is not None and _anything_left(present.state):
        raise ServiceFailed("Services of an earlier 'services up' no longer answer: run 'services down' first.", "")
    down(folder)
    engine = Compose()
    services = open_services(without={Way.GIVEN}, engine=engine, say=tell)
    try:
        return _leave(services, engine, folder)
    except BaseException:
        services.end()
        raise


def _leave(services: Services, engine: Compose, folder: Path) -> State:
    private = [service for service in (services.rabbitmq, services.postgres) if isinstance(service, PrivateService)]
    state = State(
        way=services.way,
        amqp_url=services.amqp_url,
        postgres_url=services.postgres_url,
        keepers=[_keeper(service) for service in private],
        project=None if private else engine.project,
    )
    _write(folder, state)
    for service in private:
        service.tree.stay()
    return state


def down(folder: Path = FOLDER) -> bool:
    """End what ``up`` started and remove its data; False when there was nothing to end."""
    state = _read(folder)
    if state is None:
        return False
    if state.project is not None:
        remove_project(state.project)
    for keeper in state.keepers:
        _end(keeper)
    (folder / _STATE).unlink()
    with contextlib.suppress(OSError):  # someone else keeps files there
        folder.rmdir()
    return True


def status(folder: Path = FOLDER) -> Status | None:
    """Return what ``up`` started and whether it answers; None when nothing was started."""
    state = _read(folder)
    if state is None:
        return None
    return Status(state, amqp_answers(state.amqp_url), postgres_answers(state.postgres_url))


def _anything_left(state: State) -> bool:
    return state.project is not None or any(keeper.lives() for keeper in state.keepers)


def _keeper(service: PrivateService) -> Keeper:
    pid = service.tree.keeper_pid
    return Keeper(pid, _start_time(pid) or 0, str(service.folder))


def _end(keeper: Keeper) -> None:
    if keeper.lives():
        os.kill(keeper.pid, signal.SIGTERM)
        wait_until(lambda: not keeper.lives(), _SECONDS_TO_END)
    # After a restart of the machine the keeper is gone without having removed its folder.
    if Path(keeper.folder).name.startswith(PREFIX):
        shutil.rmtree(keeper.folder, ignore_errors=True)


def _start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since the machine did; None when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    state, started = fields[0], int(fields[19])
    return None if state == "Z" else started


def _write(folder: Path, state: State) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / _STATE
    file.touch(mode=0o600)
    file.write_text(json.dumps(asdict(state), indent=2) + "\n")


def _read(folder: Path) -> State | None:
    try:
        content = json.loads((folder / _STATE).read_text())
        return State(**content | {"keepers": [Keeper(**keeper) for keeper in content["keepers"]]})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ServiceFailed(f"{folder / _STATE} cannot be read ({error}): remove it by hand.", "") from error

"""Failpoints: what can be armed, what a hit does, and that nothing of it can happen to a real terminal."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import failpoints
from worker.domain.errors import WrongSetting
from worker.failpoints import Action, Fault, WrongFailpoint
from worker.settings import read_settings

PLAIN = sorted(name for name in failpoints.POINTS if not name.endswith("*"))
FAMILIES = sorted(name.removesuffix("*") for name in failpoints.POINTS if name.endswith("*"))
NAMES = st.one_of(
    st.sampled_from(PLAIN),
    st.builds("{}{}".format, st.sampled_from(FAMILIES), st.from_regex(r"[a-z_]+(\.[a-z_]+)?", fullmatch=True)),
)


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("", None)


@given(st.dictionaries(NAMES, st.builds(Fault, st.sampled_from(Action), st.integers(1, 1000)), max_size=5))
def test_whatever_is_armed_is_read_as_it_was_written(faults: dict[str, Fault]) -> None:
    text = ", ".join(f"{name}@{fault.at}={fault.action}" for name, fault in faults.items())

    assert failpoints.read(text) == faults


def test_without_a_number_the_first_hit_counts() -> None:
    assert failpoints.read("ledger.renew.after=kill") == {"ledger.renew.after": Fault(Action.KILL, 1)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ledger.renew=kill", "there is no point 'ledger.renew'"),
        ("amqp.publish.before=kill", "there is no point"),
        ("amqp.publish.before.=kill", "there is no point"),
        ("amqp.publish.before.*=kill", "cannot read"),
        ("ledger.renew.after", "cannot read"),
        ("ledger.renew.after=explode", "the action kill or kill-all or hold"),
        ("ledger.renew.after@0=kill", "cannot read"),
    ],
)
def test_what_arms_nothing_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(WrongFailpoint, match=says):
        failpoints.read(text)


def test_unarmed_it_does_nothing(tmp_path: Path) -> None:
    failpoints.hit("ledger.renew.after")

    assert not failpoints.is_armed()
    assert list(tmp_path.iterdir()) == []


def test_a_log_tells_process_and_point_of_every_hit(tmp_path: Path) -> None:
    log = tmp_path / "points.log"
    failpoints.arm("", log)

    failpoints.hit("ledger.renew.before")
    failpoints.hit("amqp.publish.before", "confirmation", "reply", "confirmation")

    lines = [line.split() for line in log.read_text().splitlines()]
    assert [(process, name) for process, _, name in lines] == [
        ("worker", "ledger.renew.before"),
        ("worker", "amqp.publish.before.confirmation"),
        ("worker", "amqp.publish.before.reply"),
    ]


def test_only_the_first_session_gets_the_faults(tmp_path: Path) -> None:
    log = tmp_path / "points.log"
    failpoints.arm("session.send.after.submit@2=kill-all", log)

    assert failpoints.hand_down() == ("session.send.after.submit@2=kill-all", log)
    assert failpoints.hand_down() == ("", log)


def test_it_holds_a_thread_up_until_it_is_told_to_go_on(tmp_path: Path) -> None:
    log, passed = tmp_path / "points.log", threading.Event()
    failpoints.arm("ledger.renew.before=hold", log)

    def renew() -> None:
        failpoints.hit("ledger.renew.before")
        passed.set()

    thread = threading.Thread(target=renew)
    thread.start()
    assert not passed.wait(0.1)
    (tmp_path / "points.log.go").touch()
    thread.join(10)
    assert passed.is_set()


def _ends(program: str) -> int:
    text = f"from worker import failpoints\n{program}\nprint('went on')"
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=Path(__file__).parents[2], capture_output=True, timeout=30, check=False
    )
    return done.returncode


def test_it_ends_the_process_at_the_hit_that_was_asked_for() -> None:
    arm = "failpoints.arm('ledger.renew.after@2=kill', None)\n"

    assert _ends(arm + "failpoints.hit('ledger.renew.after')") == 0
    assert _ends(arm + "failpoints.hit('ledger.renew.after')\n" * 2) in {-signal.SIGKILL, signal.SIGTERM}


@pytest.mark.parametrize("backend", [None, "native"])
def test_a_real_terminal_is_never_armed(backend: str | None) -> None:
    with pytest.raises(WrongSetting, match=r"FAILPOINTS.*must be simulated"):
        read_settings(mt5_backend=backend, failpoints="ledger.renew.after=kill")


def test_who_is_held_up_needs_the_file_that_lets_it_go_on() -> None:
    with pytest.raises(WrongSetting, match="FAILPOINTS_LOG"):
        read_settings(mt5_backend="simulated", failpoints="ledger.renew.after=hold")


def test_the_settings_name_a_point_that_does_not_exist() -> None:
    with pytest.raises(WrongSetting, match=r"FAILPOINTS: there is no point 'ledger\.renew'"):
        read_settings(mt5_backend="simulated", failpoints="ledger.renew=kill")

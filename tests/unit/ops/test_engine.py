"""Services in containers: what Docker is told."""

import pytest

from ops.services import engine
from ops.services.engine import ContainerService
from ops.services.errors import ServiceFailed


def container(told: list[str], *, ready: bool = True) -> ContainerService:
    return ContainerService(
        name="postgres",
        url="postgresql://127.0.0.1/",
        ready=lambda _url: ready,
        tell=told.append,
        log=lambda: "FATAL: out of disk",
        remove=lambda: told.append("remove"),
    )


def test_each_wish_is_said_in_dockers_words() -> None:
    told: list[str] = []
    service = container(told)

    for wish in (service.stop, service.restart, service.kill, service.pause, service.resume, service.end):
        wish()

    assert told == ["stop", "restart", "kill", "pause", "unpause", "remove"]


def test_a_container_that_does_not_answer_shows_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_READY_SECONDS", 0.0)

    with pytest.raises(ServiceFailed, match=r"(?s)postgres did not answer.*out of disk"):
        container([], ready=False).wait_ready()


def test_without_a_docker_client_no_engine_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert not engine.engine_answers()

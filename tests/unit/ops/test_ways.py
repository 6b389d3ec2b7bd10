"""Which of the five ways a machine takes to its services."""

from collections.abc import Collection
from dataclasses import dataclass, field

import pytest

from ops.services.errors import ServicesUnavailable
from ops.services.ways import Way, choose

BOTH_URLS = ["TEST_AMQP_URL", "TEST_POSTGRES_URL"]
BOTH_PACKAGES = ["rabbitmq-server", "postgresql"]


@dataclass
class FakeMachine:
    urls: list[str] = field(default_factory=list)
    docker: bool = False
    missing: list[str] = field(default_factory=lambda: list(BOTH_PACKAGES))
    installs: bool = False
    asked: list[str] = field(default_factory=list)

    def given_urls(self) -> list[str]:
        self.asked.append("urls")
        return self.urls

    def docker_answers(self) -> bool:
        self.asked.append("docker")
        return self.docker

    def missing_packages(self) -> list[str]:
        self.asked.append("binaries")
        return self.missing

    def can_install(self) -> bool:
        self.asked.append("apt")
        return self.installs


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (FakeMachine(urls=BOTH_URLS, docker=True, missing=[], installs=True), Way.GIVEN),
        (FakeMachine(docker=True, missing=[], installs=True), Way.CONTAINERS),
        (FakeMachine(missing=[], installs=True), Way.LOCAL),
        (FakeMachine(installs=True), Way.INSTALL),
        (FakeMachine(missing=["postgresql"], installs=True), Way.INSTALL),
    ],
)
def test_the_first_open_way_is_taken(machine: FakeMachine, expected: Way) -> None:
    assert choose(machine) is expected


def test_the_fifth_way_says_what_to_install_and_what_else_helps() -> None:
    with pytest.raises(ServicesUnavailable) as refusal:
        choose(FakeMachine(missing=["rabbitmq-server"]))

    message = str(refusal.value)
    assert "apt-get install rabbitmq-server;" in message
    assert "Docker" in message
    assert "TEST_AMQP_URL" in message


def test_nothing_is_probed_beyond_what_decides() -> None:
    machine = FakeMachine(urls=BOTH_URLS)

    choose(machine)

    assert machine.asked == ["urls"]


@pytest.mark.parametrize("only", BOTH_URLS)
def test_one_url_without_the_other_is_a_mistake_not_a_choice(only: str) -> None:
    with pytest.raises(ServicesUnavailable, match=f"^{only} is set.*set both"):
        choose(FakeMachine(urls=[only], docker=True))


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ({Way.GIVEN}, Way.CONTAINERS),
        ({Way.CONTAINERS}, Way.GIVEN),
        ({Way.GIVEN, Way.CONTAINERS}, Way.LOCAL),
    ],
)
def test_a_way_left_out_is_passed_over(without: Collection[Way], expected: Way) -> None:
    everything = FakeMachine(urls=BOTH_URLS, docker=True, missing=[])

    assert choose(everything, without=without) is expected

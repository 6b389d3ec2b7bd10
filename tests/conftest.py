"""What all tests share: the fixture modules, one concern each."""

import pytest
from hypothesis import settings

pytest_plugins = [
    "tests.fixtures.amqp",
    "tests.fixtures.environment",
    "tests.fixtures.prometheus",
    "tests.fixtures.services",
    "tests.fixtures.terminal",
    "tests.fixtures.untraced",
]

# Examples of each property; a busy processor is no error of the example at hand.
settings.register_profile("suite", max_examples=40, deadline=None)
settings.register_profile("thorough", max_examples=500, deadline=None)
settings.load_profile("suite")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that nobody waits for them at the end; the rest in random order."""
    items.sort(key=lambda item: item.path.parent.name != "faults")

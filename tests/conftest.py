"""What all tests share: the fixture modules, one concern each."""

import pytest
from hypothesis import settings

pytest_plugins = [
    "tests.fixtures.amqp",
    "tests.fixtures.environment",
    "tests.fixtures.services",
    "tests.fixtures.terminal",
]

settings.register_profile("shared-machine", deadline=None)  # a busy processor is no error of the example at hand
settings.load_profile("shared-machine")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, each kind in its random order: side by side nobody waits for the last."""
    items.sort(key=_haste)


def _haste(item: pytest.Item) -> int:
    if item.path.parent.name == "faults":
        return 0
    if item.get_closest_marker("acceptance"):
        return 1
    return 2 if item.get_closest_marker("services") else 3

"""What all tests share: the fixture modules, one concern each."""

from hypothesis import settings

pytest_plugins = [
    "tests.fixtures.amqp",
    "tests.fixtures.environment",
    "tests.fixtures.services",
    "tests.fixtures.terminal",
]

settings.register_profile("shared-machine", deadline=None)  # a busy processor is no error of the example at hand
settings.load_profile("shared-machine")

"""What all tests share: the fixture modules, one concern each."""

from hypothesis import settings

pytest_plugins = [
    "tests.fixtures.amqp",
    "tests.fixtures.distribution",
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

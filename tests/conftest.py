"""What all tests share: the fixture modules, one concern each."""

pytest_plugins = [
    "tests.fixtures.amqp",
    "tests.fixtures.environment",
    "tests.fixtures.services",
    "tests.fixtures.terminal",
]

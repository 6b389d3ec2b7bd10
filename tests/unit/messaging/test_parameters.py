"""What AMQP_URL may say, and what is said when it is wrong."""

import ssl
from pathlib import Path

import pytest
from pika import exceptions
from pika.adapters.utils import connection_workflow

from worker.domain.errors import WrongSetting
from worker.messaging.errors import AccessRefused
from worker.messaging.outages import explained
from worker.messaging.parameters import parameters

URL = "amqp://rpm:s3cret@rabbit:5673/desk"


def test_a_url_says_where_and_who() -> None:
    found = parameters(URL, "mt5-worker main consumer")

    assert (found.host, found.port, found.virtual_host) == ("rabbit", 5673, "desk")
    assert (found.credentials.username, found.credentials.password) == ("rpm", "s3cret")
    assert found.client_properties["connection_name"] == "mt5-worker main consumer"
    assert found.heartbeat == 5
    assert found.blocked_connection_timeout is not None
    assert found.ssl_options is None


def test_the_urls_own_options_win() -> None:
    found = parameters(f"{URL}?heartbeat=3&blocked_connection_timeout=7", "test")

    assert (found.heartbeat, found.blocked_connection_timeout) == (3, 7)


def test_amqps_verifies_the_certificate() -> None:
    found = parameters("amqps://rpm:s3cret@rabbit/", "test")

    assert found.port == 5671
    assert found.ssl_options.context.verify_mode is ssl.CERT_REQUIRED
    assert found.ssl_options.context.check_hostname


def test_verification_can_be_switched_off_and_the_servers_name_given() -> None:
    found = parameters("amqps://rpm:s3cret@10.0.0.1/?verify=verify_none&server_name_indication=rabbit", "test")

    assert found.ssl_options.context.verify_mode is ssl.CERT_NONE
    assert found.ssl_options.server_hostname == "rabbit"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("amqp://rpm:pa/ss@rabbit/", "percent-encode"),
        ("amqp://rpm:s3cret@[rabbit/", "no host and port can be read"),
        ("amqp://rpm:s3cret@rabbit:0/", "names no host and port"),
        ("amqp:///desk", "names no host and port"),
        ("amqp://rpm@rabbit/", "no password"),
        (f"{URL}?heartbeat=often", "heartbeat"),
        (f"{URL}?unheard_of=1", "unheard_of"),
        (f"{URL}?cacertfile=ca.pem", "only makes sense with amqps"),
        ("amqps://rpm:s3cret@rabbit/?cacertfile=/no/such/file.pem", "No such file"),
    ],
)
def test_a_wrong_url_is_named_without_its_password(url: str, words: str) -> None:
    with pytest.raises(WrongSetting, match=words) as wrong:
        parameters(url, "test")

    assert str(wrong.value).startswith("AMQP_URL: ")
    assert "s3cret" not in str(wrong.value)


def test_a_certificate_file_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("not a certificate")

    with pytest.raises(WrongSetting, match="AMQP_URL"):
        parameters(f"amqps://rpm:s3cret@rabbit/?cacertfile={file}", "test")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.ConnectionClosedByBroker(320, "CONNECTION_FORCED - shutdown"), "closed the connection: CONNECTION"),
        (exceptions.AMQPHeartbeatTimeout("no heartbeat"), "has stopped answering"),
        (exceptions.ConnectionBlockedTimeout("blocked"), "look at its alarms"),
        (exceptions.IncompatibleProtocolError("?"), "does not speak AMQP 0-9-1"),
        (ssl.SSLError(1, "wrong version number"), "offers no TLS connection"),
        (exceptions.ConnectionClosedByClient(200, "bye"), "left by this program"),
        (exceptions.StreamLostError("reset"), "does not answer (reset)"),
        # A restart in the middle of a login looks like a refusal to pika; it is none without RabbitMQ's own code.
        (exceptions.ProbableAuthenticationError("StreamLostError: reset"), "does not answer"),
        (exceptions.ProbableAccessDeniedError("(541) INTERNAL_ERROR"), "does not answer"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_loss_is_told_in_a_sentence(error: Exception, words: str) -> None:
    told = explained(error, parameters(URL, "test"))

    assert not isinstance(told, AccessRefused)
    assert str(told).startswith("RabbitMQ at rabbit:5673 ")
    assert words in str(told)


def test_the_cause_is_found_however_deep_it_is_wrapped() -> None:
    refused = ConnectionRefusedError(111, "Connection refused")
    wrapped = exceptions.AMQPConnectionError(
        connection_workflow.AMQPConnectionWorkflowFailed([connection_workflow.AMQPConnectorSocketConnectError(refused)])
    )

    assert "does not answer (Connection refused)" in str(explained(wrapped, parameters(URL, "test")))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.ProbableAuthenticationError("ConnectionClosedByBroker: (403) 'ACCESS_REFUSED'"), "user 'rpm'"),
        (exceptions.ProbableAccessDeniedError("ConnectionClosedByBroker: (530) 'not found'"), "'desk'"),
    ],
)
def test_a_refusal_says_whom_and_never_the_password(error: Exception, words: str) -> None:
    told = explained(error, parameters(URL, "test"))

    assert isinstance(told, AccessRefused)
    assert words in str(told)
    assert "s3cret" not in str(told)

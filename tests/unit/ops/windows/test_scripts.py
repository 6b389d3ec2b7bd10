"""The scripts for a Windows host: what can be said of them without one."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ops.windows.supervisor import RECORD, STOP_FILE
from worker.cli.app import app
from worker.settings import Settings, TerminalSession

ROOT = Path(__file__).parents[4]
FOLDER = ROOT / "ops" / "windows"
SCRIPTS = sorted(FOLDER.glob("*.ps1"))
TEXTS = {script.name: script.read_text(encoding="utf-8") for script in SCRIPTS}
every_script = pytest.mark.parametrize("name", sorted(TEXTS))
SECRETS = {"AMQP_URL", "POSTGRES_URL", "MT5_PASSWORD"}


def test_they_are_all_there() -> None:
    assert sorted(TEXTS) == ["common.ps1", "configure.ps1", "install.ps1", "service.ps1"]


@every_script
def test_a_mistake_ends_a_script(name: str) -> None:
    assert "Set-StrictMode -Version 3.0\n$ErrorActionPreference = 'Stop'\n" in TEXTS[name]


@every_script
def test_both_powershells_read_the_same_letters(name: str) -> None:
    assert TEXTS[name].isascii()  # without a mark of its encoding, 5.1 reads anything else by the host's code page
    assert "\t" not in TEXTS[name]


@every_script
def test_standard_error_is_left_alone(name: str) -> None:
    assert not re.search(r"\d>|\*>", TEXTS[name])  # 5.1 makes errors of its lines, which would end the script


@every_script
def test_a_script_says_that_it_has_not_been_run(name: str) -> None:
    assert "Not run yet" in TEXTS[name][:1500]


@every_script
def test_nothing_is_downloaded_from_an_address(name: str) -> None:
    assert not re.search(r"https?:|Invoke-WebRequest|Invoke-Expression|DownloadFile", TEXTS[name])


def test_files_that_scripts_name_exist() -> None:
    named = {file for text in TEXTS.values() for file in re.findall(r"'([\w\\]+\.(?:lock|toml|ps1))'", text)}

    assert named == {
        "requirements.lock",
        r"ops\runtime.lock",
        "pyproject.toml",
        "common.ps1",
        r"scripts\configure.ps1",
        r"scripts\service.ps1",
    }
    for file in named:
        path = file.replace("scripts", r"ops\windows") if file.startswith("scripts") else file
        places = (ROOT / path.replace("\\", "/"), FOLDER / path)
        assert any(place.exists() for place in places), file


def test_the_settings_that_are_written_exist_and_suffice() -> None:
    written = set(re.findall(r"ConvertTo-SettingsLine '(\w+)'", TEXTS["configure.ps1"]))

    assert written <= {name.upper() for name in Settings.model_fields}
    needed = {"ACCOUNT", "MT5_BACKEND", "ACCOUNT_MODE", "MT5_SESSIONS", "MT5_LOGIN", "MT5_SERVER"} | SECRETS
    assert needed <= written


def test_a_session_is_written_as_the_worker_reads_it() -> None:
    [fields] = re.findall(r'\$sessions\["[^"]+"\] = @\{(.*?)\}', TEXTS["configure.ps1"])

    assert set(re.findall(r"(\w+) =", fields)) <= set(TerminalSession.model_fields)


def test_no_secret_is_ever_a_plain_argument() -> None:
    for secret in ("AmqpUrl", "PostgresUrl", "Password"):
        assert f"[securestring] ${secret}" in TEXTS["configure.ps1"]
    assert not re.search(
        r"Write-(?:Host|Output|Verbose) [^\n]*\$(lines|Password|AmqpUrl|PostgresUrl)",
        TEXTS["configure.ps1"],
        re.IGNORECASE,
    )


def test_a_file_of_secrets_is_closed_to_others_before_it_is_filled() -> None:
    steps = re.findall(
        r"WriteAllText\(\$Path, ''\)|Set-SecretFileAccess|WriteAllText\(\$Path, \(", TEXTS["configure.ps1"]
    )

    assert [step.split("(")[0] for step in steps] == ["WriteAllText", "Set-SecretFileAccess", "WriteAllText"]


def test_there_is_no_default_backend() -> None:
    assert re.search(
        r"\[Parameter\(Mandatory\)\] \[ValidateSet\([^)]*\)\] \[string\] \$Backend,", TEXTS["configure.ps1"]
    )
    assert "ConvertTo-SettingsLine 'MT5_BACKEND' $Backend" in TEXTS["configure.ps1"]


def test_scripts_and_supervisor_mean_the_same_files() -> None:
    assert f"Join-Path $Folder '{STOP_FILE}'" in TEXTS["service.ps1"]
    assert f"Join-Path $Folder '{RECORD}'" in TEXTS["common.ps1"]
    [module] = re.findall(r"-m (ops[\w.]+)", TEXTS["service.ps1"])
    assert find_spec(module) is not None


def test_the_workers_commands_exist() -> None:
    used = re.findall(r"Invoke-Worker \$Root \$Account @\(([^)]*)\)", "".join(TEXTS.values()))

    assert len(used) == 2
    for words in used:
        command = re.findall(r"'([\w-]+)'", words)
        assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0, words


def test_every_action_of_the_service_is_described_and_done() -> None:
    text = TEXTS["service.ps1"]
    actions = set(re.findall(r"'(\w+)'", re.findall(r"ValidateSet\((.*?)\)", text)[0]))

    assert actions == set(re.findall(r"^(\w+)  +\w", text.partition("#>")[0], re.MULTILINE))
    assert actions == set(re.findall(r"^ +'(\w+)' \{", text, re.MULTILINE))


def replaced_as_in_the_script(value: str) -> str:
    """Quote a value by the very replacements that stand in the script."""
    [line] = re.findall(r"return \"\$Name='\" \+ \$Value(.*?) \+ \"'\"", TEXTS["configure.ps1"])
    found = re.findall(r"""\.Replace\((['"])(.*?)\1, (['"])(.*?)\3\)""", line)
    assert len(found) == 3
    for _, old, _, new in found:
        value = value.replace(old, new)
    return f"'{value}'"


@given(
    st.text(
        st.one_of(
            st.sampled_from("\\'\"${}:-# nrt"), st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])
        )
    )
)
def test_any_value_is_read_back_as_it_was_given(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    file = tmp_path_factory.getbasetemp() / "settings.env"
    file.write_bytes(f"MT5_PASSWORD={replaced_as_in_the_script(value)}\nACCOUNT='next'\n".encode())

    assert dict(dotenv_values(file)) == {"MT5_PASSWORD": value, "ACCOUNT": "next"}


def test_a_file_of_settings_is_read_by_the_worker(tmp_path: Path) -> None:
    terminal = r"C:\MT5\demo\terminal64.exe"
    sessions = json.dumps({"terminal-1": {"terminal": terminal, "portable": True}}, separators=(",", ":"))
    values = {"ACCOUNT": "demo", "MT5_SESSIONS": sessions, "MT5_PASSWORD": r"a\b'c${HOME}#", "MT5_LOGIN": "7"}
    file = tmp_path / ".env"
    file.write_text("".join(f"{name}={replaced_as_in_the_script(value)}\n" for name, value in values.items()))

    read = Settings(_env_file=file)

    assert read.mt5_sessions is not None
    assert read.mt5_password is not None
    assert (read.account, read.mt5_login) == ("demo", 7)
    assert read.mt5_sessions["terminal-1"] == TerminalSession(terminal=terminal, portable=True)
    assert read.mt5_password.get_secret_value() == values["MT5_PASSWORD"]


def test_the_runbook_calls_the_scripts_as_they_are() -> None:
    runbook = (ROOT / "ops" / "runbooks" / "going-live.md").read_text()
    calls = re.findall(r"(install|configure|service)\.ps1([^\n`]*)", runbook)

    assert {name for name, _ in calls} == {"install", "configure", "service"}
    for name, words in calls:
        for parameter in re.findall(r" -(\w+)", words):
            assert re.search(rf"\[\w+(?:\[\])?\] \${parameter}\b", TEXTS[f"{name}.ps1"]), (name, parameter)
        action = re.match(r" (\w+)", words)
        assert name != "service" or (action and f"'{action[1]}'" in TEXTS["service.ps1"]), words

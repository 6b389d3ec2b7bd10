"""The dashboard: Grafana can import it, and every question it asks is one that Prometheus understands."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.prometheus import OPS

DASHBOARD = OPS / "grafana" / "dashboard.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24  # columns of Grafana's grid


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return every question with the title of what asks it, as Grafana would put it."""
    asked = [(panel["title"], target["expr"]) for panel in panels(dashboard) for target in panel["targets"]]
    asked += [(note["name"], note["expr"]) for note in dashboard["annotations"]["list"]]
    for title, query in asked:
        yield title, query.replace("$__rate_interval", "1m").replace("$account", "main|metals")


@pytest.mark.usefixtures("prometheus_programs")
def test_prometheus_understands_every_question(dashboard: dict[str, Any], tmp_path: Path) -> None:
    # promtool reads rules, and JSON is YAML
    rules = [{"record": f"panel:{n}", "expr": query} for n, (_, query) in enumerate(queries(dashboard))]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    done = subprocess.run(
        ["promtool", "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert f"SUCCESS: {len(rules)} rules found" in done.stdout, done.stderr


def test_every_panel_says_what_it_shows_from_the_source_that_was_chosen(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        assert panel["description"], panel["title"]
        assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [SOURCE] * (
            1 + len(panel["targets"])
        )
    assert [one["name"] for one in dashboard["templating"]["list"]] == ["datasource", "account"]


def test_every_question_is_about_the_chosen_accounts(dashboard: dict[str, Any]) -> None:
    for title, query in queries(dashboard):
        assert 'account=~"main|metals"' in query, title


def test_a_tile_shows_what_is_and_never_what_was_last_known(dashboard: dict[str, Any]) -> None:
    tiles = [panel for panel in dashboard["panels"] if panel["type"] == "stat"]

    assert tiles
    for tile in tiles:
        for target in tile["targets"]:
            assert (target["instant"], target["range"]) == (True, False), tile["title"]
            assert "ALERTS" in target["expr"] or " or 0 *" not in target["expr"], tile["title"]


def test_no_two_panels_share_an_id_or_a_place(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    places: set[tuple[int, int]] = set()

    assert len(set(ids)) == len(ids)
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        covered = {(at["x"] + column, at["y"] + line) for column in range(at["w"]) for line in range(at["h"])}
        assert at["x"] + at["w"] <= WIDTH, panel["title"]
        assert not covered & places, panel["title"]
        places |= covered

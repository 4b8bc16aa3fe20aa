# SPDX-License-Identifier: Apache-2.0
"""The checks of metrics.py find what they are for."""

import importlib.util
import json
import pathlib

HERE = pathlib.Path(__file__).parent
spec = importlib.util.spec_from_file_location("lint_metrics", HERE / "metrics.py")
lint = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lint)

DOC = {"dvcertd_a": ("gauge", {"name"}), "dvcertd_b_total": ("counter", set())}


def test_program_and_page():
    ours = lint.program_metrics('X = { "dvcertd_a", GAUGE, "help" }, Y = { "dvcertd_b", COUNTER,\n "h" }')
    assert ours == {"dvcertd_a": "gauge", "dvcertd_b_total": "counter"}
    doc = lint.documented("| `dvcertd_a` | info | name, x | text |\n| `dvcertd_c` | gauge | | text |\n")
    assert doc["dvcertd_a"] == ("info", {"name", "x"})
    assert list(lint.check_doc(ours, doc)) == [
        "dvcertd_b_total is not told of", "dvcertd_c does not exist", "dvcertd_a is a gauge, not a info",
    ]  # fmt: skip


def test_expressions():
    assert list(lint.check_expression('sum by (x) (dvcertd_a{name="y",job="z"}) / dvcertd_b_total', DOC)) == []
    assert list(lint.check_expression("dvcertd_b", DOC)) == ["dvcertd_b does not exist"]
    assert list(lint.check_expression('dvcertd_a{state=~"x"}', DOC)) == ["dvcertd_a has no label state"]
    assert list(lint.check_expression("up", DOC)) == ["no metric of ours in: up"]


def test_rules():
    text = "  - alert: X\n    expr: |\n      dvcertd_a\n        < dvcertd_x\n    for: 1m\n  - alert: Y\n    expr: dvcertd_b_total > 0\n"
    assert list(lint.check_rules(text, DOC)) == ["dvcertd_x does not exist"]
    tests = "- {alertname: X, exp_alerts: []}\n- alertname: X\n  exp_alerts:\n  - exp_labels: {}\n- {alertname: Y, exp_alerts: []}\n"
    assert list(lint.check_alerts_are_tested(text, tests)) == ["no test sees Y fire"]


def test_dashboard():
    panel = {"id": 1, "title": "P", "targets": [{"expr": "dvcertd_a", "legendFormat": "{{name}} {{code}}"}]}
    board = {"panels": [panel, {"id": 1, "title": "Q", "targets": []}]}
    assert list(lint.check_dashboard(json.dumps(board), DOC)) == [
        "two panels have the same id", "panel P: no label code", "panel Q shows nothing",
    ]  # fmt: skip

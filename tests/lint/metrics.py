#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The metrics of the program, of docs/METRICS.md, of the alert rules and of the dashboard are the same; promtool finds the rules right.

Usage: metrics.py [ROOT]. Prints "file: what is wrong" and ends with 1 when there was anything. Without promtool its part is left out,
and said so.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys

FAMILY = re.compile(r'\{\s*"(dvcertd_\w+)",\s*(GAUGE|COUNTER|INFO)\b')
SUFFIX = {"GAUGE": "", "COUNTER": "_total", "INFO": "_info"}
DOC_ROW = re.compile(r"^\| `(dvcertd_\w+)` \| (\w+) \|([^|]*)\|")
USE = re.compile(r"(dvcertd_\w+)(?:\{([^}]*)\})?")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
OUTSIDE = {"job", "instance"}  # what Prometheus adds


def program_metrics(text):
    return {name + SUFFIX[kind]: kind.lower() for name, kind in FAMILY.findall(text)}


def documented(text):
    rows = [DOC_ROW.match(line) for line in text.splitlines()]
    return {m[1]: (m[2], set(m[3].replace(",", " ").split())) for m in rows if m}


def check_doc(ours, doc):
    for name in sorted(set(ours) - set(doc)):
        yield f"{name} is not told of"
    for name in sorted(set(doc) - set(ours)):
        yield f"{name} does not exist"
    for name in sorted(set(doc) & set(ours)):
        if doc[name][0] != ours[name]:
            yield f"{name} is a {ours[name]}, not a {doc[name][0]}"


def check_expression(expr, doc):
    found = USE.findall(expr)
    if not found:
        yield f"no metric of ours in: {expr}"
    for name, labels in found:
        if name not in doc:
            yield f"{name} does not exist"
            continue
        for label in LABEL.findall(labels):
            if label not in doc[name][1] | OUTSIDE:
                yield f"{name} has no label {label}"


def expressions_of_rules(text):
    """Without a YAML library: what stands behind "expr:", and the lines below it that are indented further."""
    lines = text.splitlines()
    for i, line in enumerate(lines):
        m = re.match(r"^(\s*)expr:\s*(.*)$", line)
        if not m:
            continue
        more = []
        for below in lines[i + 1:]:
            if len(below) - len(below.lstrip()) <= len(m[1]):
                break
            more.append(below.strip())
        yield " ".join([m[2].strip("|"), *more])


def check_rules(text, doc):
    for expr in expressions_of_rules(text):
        if expr.strip().startswith("up{"):
            continue
        yield from check_expression(expr, doc)


def check_alerts_are_tested(rules, tests):
    for alert in re.findall(r"- alert: (\w+)", rules):
        uses = re.findall(rf"alertname: {alert}\b(.*?)(?=alertname|\Z)", tests, re.S)
        if not any("exp_labels" in u for u in uses):
            yield f"no test sees {alert} fire"
        if not any("exp_alerts: []" in u for u in uses):
            yield f"no test sees {alert} stay silent"


def check_dashboard(text, doc):
    board = json.loads(text)
    ids = [p["id"] for p in board["panels"]]
    if len(ids) != len(set(ids)):
        yield "two panels have the same id"
    for panel in board["panels"]:
        if not panel.get("targets"):
            yield f"panel {panel['title']} shows nothing"
        for target in panel.get("targets", []):
            for wrong in check_expression(target["expr"], doc):
                yield f"panel {panel['title']}: {wrong}"
            for label in re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")):
                if not any(label in doc[n][1] | OUTSIDE for n, _ in USE.findall(target["expr"]) if n in doc):
                    yield f"panel {panel['title']}: no label {label}"


def promtool(root):
    if not shutil.which("promtool"):
        print("lint metrics: promtool is not installed, rules are not tested")
        return
    runs = [["check", "rules", "contrib/prometheus/dvcertd.rules.yml"]]
    runs += [["test", "rules", str(p.relative_to(root))] for p in sorted(root.glob("tests/prometheus/*.test.yml"))]
    for run in runs:
        done = subprocess.run(["promtool", *run], cwd=root, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            yield f"{run[-1]}: promtool {run[0]} {run[1]}:\n{done.stdout}{done.stderr}"


def main(root):
    def read(path):
        return (root / path).read_text()

    doc = documented(read("docs/METRICS.md"))
    rules = read("contrib/prometheus/dvcertd.rules.yml")
    tests = "".join(p.read_text() for p in sorted(root.glob("tests/prometheus/*.test.yml")))
    problems = []
    for path, found in (
        ("docs/METRICS.md", check_doc(program_metrics(read("daemon/ops/metrics.c")), doc)),
        ("contrib/prometheus/dvcertd.rules.yml", check_rules(rules, doc)),
        ("tests/prometheus", check_alerts_are_tested(rules, tests)),
        ("contrib/grafana/dvcertd.json", check_dashboard(read("contrib/grafana/dvcertd.json"), doc)),
    ):
        problems += [f"{path}: {p}" for p in found]
    problems += promtool(root)
    for p in problems:
        print(p)
    print(f"lint metrics: {len(doc)} metrics, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve()))

"""What can be said about dashboards, rules and their documents without running anything but promtool."""

import pathlib
import re
import subprocess
import sys
import unittest

import yaml

from queries import METRIC, SELECTOR, alerts, load_dashboard, panels, rules
from stack import ROOT

DASHBOARDS = ("serving", "var")


def exported() -> set[str]:
    """Names of samples, by docs/metrics.md, which a C++ test compares with the registry."""
    names = set()
    for name, kind in re.findall(
        r"^\| `(varserve_\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE
    ):
        names |= {f"{name}{suffix}" for suffix in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return names


def promtool(*arguments: str | pathlib.Path) -> subprocess.CompletedProcess:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


class Rules(unittest.TestCase):
    def test_prometheus_takes_them(self) -> None:
        done = promtool("check", "config", ROOT / "deploy/prometheus/prometheus.yaml")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_promtool_tests_pass(self) -> None:
        done = promtool("test", "rules", *sorted((ROOT / "tests/observe/rules").glob("*.yaml")))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_alert_is_tested_firing_and_not_firing(self) -> None:
        fires, silent = set(), set()
        for path in (ROOT / "tests/observe/rules").glob("*_alerts_test.yaml"):
            for test in yaml.safe_load(path.read_text())["tests"]:
                named = {alert for alert in alerts() if test["name"].startswith(alert)}
                for case in test["promql_expr_test"]:
                    samples = " ".join(sample["labels"] for sample in case["exp_samples"])
                    fires |= {alert for alert in named if f'alertname="{alert}"' in samples}
                    silent |= named if not case["exp_samples"] else set()
        self.assertEqual(fires, set(alerts()))
        self.assertEqual(silent, set(alerts()))

    def test_every_alert_says_how_bad_it_is_and_where_to_read_on(self) -> None:
        headings = re.findall(r"^## (.+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
        for name, rule in alerts().items():
            self.assertIn(rule["labels"]["severity"], ("critical", "warning"), name)
            self.assertTrue(rule["annotations"]["summary"] and rule["annotations"]["description"], name)
            self.assertEqual(rule["annotations"]["runbook_url"], f"docs/runbook.md#{name.lower()}")
            self.assertIn(name, headings)


class Dashboards(unittest.TestCase):
    def test_are_current(self) -> None:
        script = ROOT / "deploy/grafana/make_dashboards.py"
        done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_panel_says_what_it_means_and_in_what_unit(self) -> None:
        for panel in (panel for name in DASHBOARDS for panel in panels(name)):
            with self.subTest(panel.name):
                self.assertGreater(len(panel.description), 20)
                self.assertTrue(panel.unit)
                self.assertTrue(panel.queries)

    def test_link_to_each_other_and_to_the_runbook(self) -> None:
        boards = [load_dashboard(name) for name in DASHBOARDS]
        for board, other in (boards, reversed(boards)):
            urls = [link["url"] for link in board["links"]]
            self.assertEqual(urls, [f"/d/{other['uid']}", "${runbook}"])
            variables = [variable["name"] for variable in board["templating"]["list"]]
            self.assertEqual(variables[:4], ["datasource", "model", "instance", "runbook"])
            self.assertEqual([annotation["name"] for annotation in board["annotations"]["list"]], ["Restarts"])

    def test_panels_do_not_overlap(self) -> None:
        for name in DASHBOARDS:
            taken = set()
            for panel in load_dashboard(name)["panels"]:
                p = panel["gridPos"]
                cells = {(x, y) for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])}
                self.assertFalse(cells & taken, panel["title"])
                self.assertLessEqual(p["x"] + p["w"], 24)
                taken |= cells


class Names(unittest.TestCase):
    def test_only_metrics_that_exist_are_asked_for(self) -> None:
        recorded = {rule["record"] for rule in rules() if "record" in rule}
        expressions = [rule["expr"] for rule in rules()]
        expressions += [query.expression for name in DASHBOARDS for panel in panels(name) for query in panel.queries]
        for expression in expressions:
            with self.subTest(expression):
                for selector in SELECTOR.findall(expression):
                    name = selector.partition("{")[0]
                    self.assertIn(name, recorded if ":" in name else exported())

    def test_every_metric_is_looked_at(self) -> None:
        expressions = " ".join(rule["expr"] for rule in rules())
        for name in DASHBOARDS:
            expressions += " ".join(q.expression for panel in panels(name) for q in panel.queries)
            expressions += load_dashboard(name)["annotations"]["list"][0]["expr"]
        seen = {re.sub(r"_(bucket|sum|count)$", "", name) for name in METRIC.findall(expressions)}
        metrics = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported()}
        # Not for looking at: what runs, for joins and for people who scale by the queue's tokens.
        self.assertEqual(metrics - seen, {"varserve_build_info", "varserve_model_info", "varserve_waiting_tokens"})


if __name__ == "__main__":
    unittest.main()

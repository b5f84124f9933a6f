"""The real server under mixed traffic, seen by the real Prometheus: every query of dashboards and rules gives data in
its unit, and figures are what the replies add up to."""

import collections
import itertools
import json
import math
import os
import re
import subprocess
import time
import unittest

import grpc

from queries import METRIC, SELECTOR, Panel, Query, panels, rules
from stack import Prometheus, ServerProcess, a_week_of, stopping
from traffic import PICTURES, QUESTIONS, Answer, Ask, mixed, send_all
from varserve_api import VisionLanguageStub, pb

MODEL = "embedded"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SPAN = 900  # seconds; longer than the test


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        flags = (f"--model_name={MODEL}", "--log_format=json")
        cls.server = ServerProcess(os.environ["VARSERVE_BUILD"], os.environ["VARSERVE_EMBEDDED_MODEL"], *flags)
        cls.enterClassContext(stopping(cls.server))
        cls.server.wait_until_ready()
        history = a_week_of(
            {
                f'model:varserve_var_visual_sink_tokens:mean1h{{model="{MODEL}"}}': 50,
                f'model_preset:varserve_var_redistributed_attention:mean1h{{model="{MODEL}",preset="general"}}': 0.3,
                f'model:varserve_prefix_cache_hits:ratio1h{{model="{MODEL}"}}': 0.8,
            }
        )
        cls.prometheus = Prometheus([cls.server.metrics_address], hurry=True, history=history)
        cls.enterClassContext(stopping(cls.prometheus))
        cls.prometheus.wait_for("count_over_time(varserve_ready[1m]) >= 2")

        cls.start = time.time()
        often = (Ask("Answer", PICTURES[i % 3], QUESTIONS[0], (("on", "general"),), 2) for i in range(40))
        cls.answers = send_all(
            cls.server.address, itertools.chain(itertools.islice(mixed(seed=7), 24), often), workers=4
        )
        # The time of a scrape after all of it: there increase() is exact, as the first sample of every counter is zero.
        done = f"sum(varserve_requests_total) >= {len(cls.answers)} and sum(varserve_requests_running) == 0"
        cls.prometheus.wait_for(done)
        cls.prometheus.wait_for(f"count_over_time(({done})[1m:1s]) >= 2")
        # And behind the rules' own evaluation of it.
        cls.prometheus.wait_for(f'model:varserve_var_visual_sink_tokens:mean1h{{model="{MODEL}"}} > 0')
        cls.prometheus.wait_for(f"timestamp(varserve_ready) > {time.time()}")
        cls.end = cls.prometheus.number("timestamp(varserve_ready)")

    def value(self, expression: str) -> dict[tuple[str, ...], float]:
        """By the values of its labels, in the order of the labels' names."""
        result = self.prometheus.query(expression, self.end)
        return {tuple(v for k, v in sorted(e["metric"].items()) if k != "__name__"): e["value"] for e in result}

    def figure(self, dashboard: str, title: str) -> dict[tuple[str, ...], float]:
        panel = next(panel for panel in panels(dashboard) if panel.title == title and panel.queries[0].instant)
        return self.value(panel.queries[0].filled(span=f"{SPAN}s"))

    # Queries

    def data(self, panel: Panel, query: Query) -> list[float]:
        text = query.filled(MODEL, span=f"{SPAN}s")
        if query.instant:
            values = [entry["value"] for entry in self.prometheus.query(text, self.end)]
        else:
            found = self.prometheus.query_range(text, self.start, self.end, 1)
            values = [value for entry in found for _, value in entry["values"]]
        return [value for value in values if not math.isnan(value)]

    def test_every_panel_shows_data_in_its_unit(self) -> None:
        for panel, query in ((p, q) for name in ("serving", "var") for p in panels(name) for q in p.queries):
            with self.subTest(panel.name, query=query.expression):
                values = self.data(panel, query)
                self.assertTrue(values, "no data")
                self.assertGreaterEqual(min(values), 0)
                if query.legend == "{{le}}":  # the unit is that of the buckets, their contents are requests
                    continue
                names = set(METRIC.findall(query.expression))
                if panel.unit == "percentunit":
                    self.assertLessEqual(max(values), 1 + 1e-9)
                elif panel.unit == "s":
                    self.assertLessEqual(max(values), 300)  # the last bucket
                    self.assertTrue(all(re.search(r"_seconds(_(bucket|sum|count))?$", name) for name in names), names)
                elif panel.unit == "reqps":
                    self.assertIn("rate(", query.expression)
                    self.assertTrue(all(re.search(r"requests_total$|_count$", name) for name in names), names)
                elif panel.unit == "suffix: tok/s":
                    self.assertIn("rate(", query.expression)
                    self.assertTrue(all(name.endswith("_tokens_total") for name in names), names)
                elif panel.unit == "suffix: tok":
                    self.assertIn("tokens", query.expression)
                    only_tokens = bool(names) and all(name.endswith("_tokens_total") for name in names)
                    self.assertFalse(only_tokens, "a rate of tokens is in tok/s")
                elif panel.unit == "bytes":
                    self.assertTrue(all(name.endswith("_bytes") for name in names), names)
                else:
                    self.assertEqual(panel.unit, "short")

    def test_layers_come_in_order(self) -> None:
        maps = [panel for panel in panels("var") if panel.queries[0].legend == "{{layer}}"]
        self.assertEqual(len(maps), 2)
        for panel in maps:
            found = self.prometheus.query_range(panel.queries[0].filled(MODEL), self.start, self.end, 1)
            layers = [entry["metric"]["layer"] for entry in found]
            self.assertEqual(layers, [f"{layer:02}" for layer in range(len(layers))])

    def test_every_rule_has_what_it_asks_for(self) -> None:
        for rule in rules():
            with self.subTest(rule.get("record") or rule["alert"]):
                for selector in SELECTOR.findall(rule["expr"]):
                    self.assertTrue(self.value(selector), selector)
                if "record" in rule:
                    self.assertTrue(self.value(rule["record"]))
                self.prometheus.query(rule["expr"])

    def test_restarts_are_annotated(self) -> None:
        self.assertTrue(
            self.prometheus.query(f'varserve_start_time_seconds{{model="{MODEL}"}} > time() - 120', self.start)
        )

    def test_promtool_likes_the_page(self) -> None:
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=self.server.scrape(), capture_output=True, text=True, check=False
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_samples_do_not_grow_with_traffic(self) -> None:
        samples = self.prometheus.query_range("scrape_samples_scraped", self.start, self.end, 1)[0]["values"]
        self.assertEqual(len({count for _, count in samples}), 1)

    # Figures

    @property
    def ok(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.code == "OK"]

    @property
    def measured(self) -> list[Answer]:
        return [answer for answer in self.ok if answer.mode != "off"]

    @property
    def on(self) -> list[Answer]:
        return [answer for answer in self.ok if answer.mode == "on"]

    def assertMean(self, figure: dict, values: list[float]) -> None:
        self.assertEqual(len(figure), 1)
        self.assertAlmostEqual(
            next(iter(figure.values())), math.fsum(values) / len(values), delta=1e-6 * (1 + max(values))
        )

    def test_all_requests_are_counted(self) -> None:
        self.assertEqual({answer.code for answer in self.answers}, {"OK"})
        expected = collections.Counter(("OK", a.reply.finish_reason, a.ask.method, a.mode) for a in self.ok)
        counted = self.value('sum by (code, finish_reason, method, var) (varserve_requests_total{code="OK"}) > 0')
        self.assertEqual(counted, dict(expected))
        self.assertEqual(self.figure("serving", "Requests"), {(): len(self.answers)})
        self.assertEqual(self.figure("var", "Requests with VAR on"), {(): len(self.on) / len(self.ok)})

    def test_all_tokens_are_counted(self) -> None:
        usage = [answer.reply.usage for answer in self.ok]
        for name in ("prompt", "visual", "generated"):
            total = sum(getattr(u, f"{name}_tokens") for u in usage)
            self.assertEqual(self.value(f"sum(varserve_{name}_tokens_total)"), {(): total})
        siblings = [a.reply.contrast_report for a in self.ok if a.reply.contrast_report is not None]
        self.assertTrue(siblings)
        cached = sum(u.cached_tokens for u in usage) + sum(s.sibling_cached_tokens for s in siblings)
        prompts = sum(u.prompt_tokens for u in usage) + sum(s.sibling_prompt_tokens for s in siblings)
        self.assertAlmostEqual(self.figure("serving", "Prompt tokens cached")[()], cached / prompts)
        for mode, length in self.figure("var", "Length of answers by mode").items():
            tokens = [a.reply.usage.generated_tokens for a in self.ok if a.mode == mode[0]]
            self.assertAlmostEqual(length, sum(tokens) / len(tokens))

    def test_figures_of_var_are_the_reports_means(self) -> None:
        reports = [answer.reply.report for answer in self.measured]
        on = [answer.reply.report for answer in self.on]
        self.assertMean(self.figure("var", "Visual sinks per request"), [r.visual_sink_tokens for r in reports])
        self.assertMean(self.figure("var", "Text sinks per request"), [r.text_sink_tokens for r in reports])
        self.assertMean(self.figure("var", "Image-centric heads"), [r.image_centric_head_ratio for r in reports])
        self.assertMean(self.figure("var", "Attention moved"), [r.redistributed_attention for r in on])
        gains = [r.visual_attention_after - r.visual_attention_before for r in on]
        self.assertMean(self.figure("var", "Attention on the picture gained"), gains)
        self.assertGreater(math.fsum(gains), 0)

    def test_presets_are_apart(self) -> None:
        counted = self.value('varserve_var_redistributed_attention_total{var="on"}')
        moved: dict[str, float] = collections.defaultdict(float)
        for answer in self.on:
            report = answer.reply.report
            moved[answer.preset] += sum(layer.redistributed_attention * report.eligible_rows for layer in report.layers)
        by_preset = {labels[-2]: value for labels, value in counted.items()}
        self.assertEqual(set(by_preset), set(moved))
        for preset, value in by_preset.items():
            self.assertAlmostEqual(value, moved[preset], delta=1e-6 * moved[preset])

    def test_layers_are_the_reports_layers(self) -> None:
        sinks: dict[str, int] = collections.Counter()
        moved: dict[str, float] = collections.defaultdict(float)
        rows: dict[str, int] = collections.Counter()
        for answer in self.measured:
            report = answer.reply.report
            for layer in report.layers:
                sinks[f"{layer.layer:02}"] += layer.visual_sink_tokens
                if answer.mode == "on":
                    moved[f"{layer.layer:02}"] += layer.redistributed_attention * report.eligible_rows
                    rows[f"{layer.layer:02}"] += report.eligible_rows
        shown = self.figure("var", "Sinks by layer")
        for (layer,), value in shown.items():
            self.assertAlmostEqual(value, sinks[layer] / len(self.measured))
        for (layer,), value in self.figure("var", "Attention moved by layer").items():
            if rows[layer]:
                self.assertAlmostEqual(value, moved[layer] / rows[layer], delta=1e-6)
            else:  # the last layer, which VAR leaves alone
                self.assertTrue(math.isnan(value))

    def test_quantiles_lie_in_their_buckets(self) -> None:
        page = self.server.scrape()
        bounds = sorted({float(b) for b in re.findall(r'first_token_seconds_bucket\{.*le="([^"]*)"', page)})
        for (mode,), shown in self.figure("serving", "First token by VAR mode, p95").items():
            times = sorted(a.reply.timing.first_token_seconds for a in self.ok if a.mode == mode)
            true = times[math.ceil(0.95 * len(times)) - 1]
            upper = next(bound for bound in bounds if true <= bound)
            lower = max((bound for bound in bounds if bound < upper), default=0)
            self.assertTrue(lower <= shown <= upper, f"{mode}: {shown} is not in ({lower}, {upper}], where {true} is")

    # Logs

    def lines(self) -> list[dict]:
        lines = (line for line in self.server.log().splitlines() if line.startswith("{"))
        return [entry for entry in map(json.loads, lines) if entry["message"] == "request"]

    def test_one_line_per_request(self) -> None:
        lines = [line for line in self.lines() if not line["request_id"].startswith("trace-")]
        self.assertEqual(len(lines), len(self.answers))
        moved = sorted(line["redistributed_attention"] for line in lines if line["var"] == "on")
        expected = sorted(answer.reply.report.redistributed_attention for answer in self.on)
        for a, b in zip(moved, expected, strict=True):
            self.assertAlmostEqual(a, b, places=6)
        for line in lines:
            self.assertEqual(line["code"], "OK")
            self.assertLessEqual(line["first_token_seconds"], line["seconds"])
            self.assertEqual("preset" in line, line["var"] != "off")

    def test_trace_goes_through(self) -> None:
        channel = grpc.insecure_channel(self.server.address)
        request = pb.AnswerRequest(
            images=[pb.Image(data=PICTURES[0].read_bytes())],
            question=QUESTIONS[0],
            options=pb.GenerateOptions(max_tokens=1),
        )
        for sent, returned in ((TRACE, TRACE), ("00-nonsense", None)):
            metadata = (("x-request-id", f"trace-{returned}"), ("traceparent", sent))
            call = VisionLanguageStub(channel).Answer(request, metadata=metadata)
            list(call)
            initial = dict(call.initial_metadata())
            self.assertEqual(initial["x-request-id"], f"trace-{returned}")
            self.assertEqual(initial.get("traceparent"), returned)
        channel.close()
        logged = {line["request_id"]: line.get("traceparent") for line in self.lines()}
        self.assertEqual(logged[f"trace-{TRACE}"], TRACE)
        self.assertIsNone(logged["trace-None"])


if __name__ == "__main__":
    unittest.main()

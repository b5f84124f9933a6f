"""Flags of the chart's values, as the real server reads them."""

import json
import re
import unittest

from chart import CHART, container, defaults, flag_file, read_by_server, refusal, render


class FlagsTest(unittest.TestCase):
    NUMBERS = (0, 1, 999_999, 1_000_000, 16_000_000, 64_000_000, 2**31, 10**15 + 1, 2**53 - 1, -(10**9))

    def read(self, flag: str, value: object, *arguments: str) -> str:
        values = {} if value is None else {"flags": {flag: value}}
        return read_by_server(flag_file(values, *arguments))[flag]

    def test_whole_numbers_arrive_however_they_are_given(self) -> None:
        for number in self.NUMBERS:
            flag = "flags.max_waiting_tokens"
            ways = {
                "a file": (number,),
                "text in a file": (str(number),),
                "--set": (None, "--set", f"{flag}={number}"),
                "--set-string": (None, "--set-string", f"{flag}={number}"),
                "--set-json": (None, "--set-json", f"{flag}={number}"),
            }
            for way, arguments in ways.items():
                with self.subTest(number=number, way=way):
                    self.assertEqual(self.read("max_waiting_tokens", *arguments), str(number))

    def test_numbers_a_file_cannot_hold_are_refused_and_others_exact(self) -> None:
        self.assertIn("write it in quotes", refusal({"flags": {"max_waiting_tokens": 2**53 + 1}}))
        for arguments in ((str(2**53 + 1),), (None, "--set", f"flags.max_waiting_tokens={2**53 + 1}")):
            self.assertEqual(self.read("max_waiting_tokens", *arguments), str(2**53 + 1))

    def test_fractions_sizes_and_durations_arrive(self) -> None:
        cases = [
            ("drain_seconds", 0.25),
            ("max_message_bytes", 100_000_000),
            ("memory_budget", "1.5G"),
            ("prefix_cache", 0),
        ]
        for flag, value in cases:
            if flag == "drain_seconds":  # the chart's own
                continue
            self.assertEqual(self.read(flag, value), str(value))
        for tau in (20, 1e-7, 12.5, 1_234_567.5):
            self.assertEqual(float(read_by_server(flag_file({"var": {"tau": tau}}))["tau"]), tau)
        self.assertEqual(self.read("write_timeout", "90s"), "1m30s")
        self.assertEqual(self.read("log_format", None, "--set", "flags.log_format=text"), "text")

    def test_lists_arrive(self) -> None:
        dimensions = [1415, 2533, 2_000_000_000]
        self.assertEqual(
            read_by_server(flag_file({"var": {"sinkDimensions": dimensions}}))["sink_dimensions"],
            "1415,2533,2000000000",
        )
        self.assertIn("--x=1000000,a\n", flag_file({"flags": {"x": [1_000_000, "a"]}}))
        self.assertIn("--x=true\n", flag_file({"flags": {"x": True}}))

    def test_every_flag_takes_its_own_default_through_the_chart(self) -> None:
        own = set(
            json.loads((CHART / "values.schema.json").read_text())["properties"]["flags"]["propertyNames"]["not"][
                "enum"
            ]
        )
        self.assertLessEqual(own, set(defaults()), "the chart keeps flags to itself that the server does not have")
        flags = {
            name: int(value) if value.isdigit() else value for name, value in defaults().items() if name not in own
        }
        read = read_by_server(flag_file({"flags": flags}))
        self.assertEqual({name: read[name] for name in flags}, {name: defaults()[name] for name in flags})

    def test_durations_need_a_unit(self) -> None:
        schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["flags"]["properties"]
        durations = {
            name for name, value in defaults().items() if re.fullmatch(r"([0-9.]+(h|m|s|ms|us|ns))+|inf", value)
        }
        self.assertLessEqual(durations, set(schema), "add them to values.schema.json")
        for flag in durations:
            self.assertIn(flag, refusal({"flags": {flag: 60}}))
            self.assertEqual(refusal({"flags": {flag: "1m30.5s"}}), "")

    def test_what_is_not_a_flag_is_refused(self) -> None:
        for flags in (
            {"log_format": "json\n--listen=0.0.0.0:1"},
            {"listen": "x"},
            {"x": None},
            {"x": {"y": 1}},
            {"-x": 1},
        ):
            self.assertTrue(refusal({"flags": flags}), flags)
        self.assertNotIn("log_format", flag_file({"flags": {"log_format": None}}), "null leaves a default out")

    def test_threads_are_what_the_pod_may_use(self) -> None:
        for values, source in [
            ({}, "requests.cpu"),
            ({"resources": {"requests": {"cpu": None}}}, "requests.cpu"),
            ({"resources": {"limits": {"cpu": "2"}}}, None),
            ({"flags": {"threads": 3}}, None),
        ]:
            objects = render(values)
            env = {e["name"]: e["valueFrom"]["resourceFieldRef"]["resource"] for e in container(objects).get("env", [])}
            self.assertEqual(env.get("FLAGS_threads"), source, values)
            flags = objects["ConfigMap", "varserve"]["data"]["flags"]
            expected = {"requests.cpu": "5", None: str(values.get("flags", {}).get("threads", 0))}[source]
            self.assertEqual(read_by_server(flags, FLAGS_threads="5")["threads"], expected, values)

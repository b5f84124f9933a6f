"""What the Helm chart makes of values: flags as the real server reads them, who may reach whom, Envoy's limits, what is refused."""

import argparse
import functools
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import envoy
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/varserve"
ENVOY = pathlib.Path(envoy.__file__).parent / "_bin" / "envoy"
HELM: str
SERVER: str
MIB = 1 << 20


def helm(*arguments: str, values: dict | None = None) -> subprocess.CompletedProcess:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values or {}, file)
        file.flush()
        command = [HELM, *arguments, "--namespace", "varserve", "--kube-version", "v1.34.2", "--values", file.name]
        return subprocess.run(command, capture_output=True, text=True)


def refusal(values: dict, *arguments: str) -> str:
    done = helm("template", "varserve", str(CHART), *arguments, values=values)
    return done.stderr if done.returncode != 0 else ""


def render(values: dict | None = None, *arguments: str, chart: pathlib.Path = CHART) -> dict[tuple[str, str], dict]:
    """The chart's objects by kind and name."""
    done = helm("template", "varserve", str(chart), *arguments, values=values)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(done.stdout) if o}


def notes(values: dict) -> str:
    """What helm prints after an installation, which it shows to a cluster only: rendered here as one object more."""
    with tempfile.TemporaryDirectory() as folder:
        chart = shutil.copytree(CHART, pathlib.Path(folder) / "varserve")
        text = (chart / "templates/NOTES.txt").read_text()
        (chart / "templates/_notes.tpl").write_text('{{- define "notes" -}}' + text + "{{- end }}")
        (chart / "templates/notes.yaml").write_text(
            "kind: ConfigMap\napiVersion: v1\nmetadata: {name: notes}\ndata: {text: {{ include \"notes\" . | toJson }}}\n"
        )
        return render(values, chart=chart)["ConfigMap", "notes"]["data"]["text"]


def flag_file(values: dict, *arguments: str) -> str:
    return render(values, *arguments)["ConfigMap", "varserve"]["data"]["flags"]


def read_by_server(flags: str, **environment: str) -> dict[str, str]:
    """Every flag's value, as the real server has it after this flag file."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(flags)
        file.flush()
        done = subprocess.run(
            [SERVER, f"--flagfile={file.name}", "--help"], capture_output=True, text=True, env={**os.environ, **environment}
        )
    if "ERROR" in done.stderr:
        raise ValueError(done.stderr.strip())
    text = re.sub(r"\n {6,}", " ", done.stdout)
    read = {}
    for name, rest in re.findall(r"^ +--(\w+) (.*)$", text, re.MULTILINE):
        value = re.findall(r"(?:default|currently): (.*?);", rest)[-1]
        read[name] = value.removeprefix('"').removesuffix('"')
    return read


@functools.cache
def defaults() -> dict[str, str]:
    return read_by_server("")


def container(objects: dict, deployment: str = "varserve") -> dict:
    return objects["Deployment", deployment]["spec"]["template"]["spec"]["containers"][0]


class FlagsTest(unittest.TestCase):
    NUMBERS = (0, 1, 999_999, 1_000_000, 16_000_000, 64_000_000, 2**31, 10**15 + 1, 2**53 - 1, -(10**9))

    def read(self, flag: str, value, *arguments: str) -> str:
        values = {} if value is None else {"flags": {flag: value}}
        return read_by_server(flag_file(values, *arguments))[flag]

    def test_whole_numbers_arrive_however_they_are_given(self):
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

    def test_numbers_a_file_cannot_hold_are_refused_and_others_exact(self):
        self.assertIn("write it in quotes", refusal({"flags": {"max_waiting_tokens": 2**53 + 1}}))
        for arguments in ((str(2**53 + 1),), (None, "--set", f"flags.max_waiting_tokens={2**53 + 1}")):
            self.assertEqual(self.read("max_waiting_tokens", *arguments), str(2**53 + 1))

    def test_fractions_sizes_and_durations_arrive(self):
        cases = [("drain_seconds", 0.25), ("max_message_bytes", 100_000_000), ("memory_budget", "1.5G"), ("prefix_cache", 0)]
        for flag, value in cases:
            if flag == "drain_seconds":  # the chart's own
                continue
            self.assertEqual(self.read(flag, value), str(value))
        for tau in (20, 1e-7, 12.5, 1_234_567.5):
            self.assertEqual(float(read_by_server(flag_file({"var": {"tau": tau}}))["tau"]), tau)
        self.assertEqual(self.read("write_timeout", "90s"), "1m30s")
        self.assertEqual(self.read("log_format", None, "--set", "flags.log_format=text"), "text")

    def test_lists_arrive(self):
        dimensions = [1415, 2533, 2_000_000_000]
        self.assertEqual(read_by_server(flag_file({"var": {"sinkDimensions": dimensions}}))["sink_dimensions"], "1415,2533,2000000000")
        self.assertIn("--x=1000000,a\n", flag_file({"flags": {"x": [1_000_000, "a"]}}))
        self.assertIn("--x=true\n", flag_file({"flags": {"x": True}}))

    def test_every_flag_takes_its_own_default_through_the_chart(self):
        own = set(json.loads((CHART / "values.schema.json").read_text())["properties"]["flags"]["propertyNames"]["not"]["enum"])
        self.assertLessEqual(own, set(defaults()), "the chart keeps flags to itself that the server does not have")
        flags = {name: int(value) if value.isdigit() else value for name, value in defaults().items() if name not in own}
        read = read_by_server(flag_file({"flags": flags}))
        self.assertEqual({name: read[name] for name in flags}, {name: defaults()[name] for name in flags})

    def test_durations_need_a_unit(self):
        schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["flags"]["properties"]
        durations = {name for name, value in defaults().items() if re.fullmatch(r"([0-9.]+(h|m|s|ms|us|ns))+|inf", value)}
        self.assertLessEqual(durations, set(schema), "add them to values.schema.json")
        for flag in durations:
            self.assertIn(flag, refusal({"flags": {flag: 60}}))
            self.assertEqual(refusal({"flags": {flag: "1m30.5s"}}), "")

    def test_what_is_not_a_flag_is_refused(self):
        for flags in ({"log_format": "json\n--listen=0.0.0.0:1"}, {"listen": "x"}, {"x": None}, {"x": {"y": 1}}, {"-x": 1}):
            self.assertTrue(refusal({"flags": flags}), flags)
        self.assertNotIn("log_format", flag_file({"flags": {"log_format": None}}), "null leaves a default out")

    def test_threads_are_what_the_pod_may_use(self):
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


class NetworkPolicyTest(unittest.TestCase):
    CLIENT, OTHER, PROMETHEUS = {"app": "frontend"}, {"app": "other"}, {"app": "prometheus"}
    PORTS = {"grpc": 50051, "metrics": 9464, "health": 50052}

    def allowed(self, objects: dict, source: dict, target: str, port: str | int, namespace: str = "varserve") -> bool:
        """Whether Kubernetes lets a pod with these labels reach a port of the chart's pods."""
        labels = objects["Deployment", target]["spec"]["template"]["metadata"]["labels"]
        policies = [o["spec"] for (kind, _), o in objects.items() if kind == "NetworkPolicy"]
        selecting = [p for p in policies if p["podSelector"]["matchLabels"].items() <= labels.items()]

        def peer(p: dict) -> bool:
            if "namespaceSelector" in p:
                return True  # the chart's only one selects all
            return namespace == "varserve" and p["podSelector"].get("matchLabels", {}).items() <= source.items()

        rules = [rule for policy in selecting for rule in policy["ingress"]]
        return not selecting or any({"port": port} in rule["ports"] and any(map(peer, rule["from"])) for rule in rules)

    def envoy_labels(self, objects: dict) -> dict:
        return objects["Deployment", "varserve-envoy"]["spec"]["template"]["metadata"]["labels"]

    def test_clients_reach_the_servers(self):
        objects = render({"networkPolicy": {"from": [{"podSelector": {"matchLabels": self.CLIENT}}]}})
        self.assertTrue(self.allowed(objects, self.CLIENT, "varserve", "grpc"))
        self.assertFalse(self.allowed(objects, self.CLIENT, "varserve", "grpc", namespace="elsewhere"))
        self.assertFalse(self.allowed(objects, self.OTHER, "varserve", "grpc"))
        self.assertFalse(self.allowed(objects, self.CLIENT, "varserve", "health"))
        self.assertTrue(self.allowed(objects, self.PROMETHEUS, "varserve", "metrics", namespace="monitoring"))

    def test_with_envoy_clients_reach_envoy_alone(self):
        objects = render({"envoy": {"enabled": True}, "networkPolicy": {"from": [{"podSelector": {"matchLabels": self.CLIENT}}]}})
        self.assertTrue(self.allowed(objects, self.CLIENT, "varserve-envoy", "grpc"))
        self.assertFalse(self.allowed(objects, self.OTHER, "varserve-envoy", "grpc"))
        self.assertFalse(self.allowed(objects, self.CLIENT, "varserve", "grpc"))
        self.assertTrue(self.allowed(objects, self.envoy_labels(objects), "varserve", "grpc"))
        egress = objects["NetworkPolicy", "varserve-envoy"]["spec"]["egress"]
        self.assertEqual([p["port"] for rule in egress for p in rule["ports"]], [53, 53, 50051])
        server = objects["Deployment", "varserve"]["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(egress[-1]["to"][0]["podSelector"]["matchLabels"].items(), server.items())

    def test_by_default_the_namespace_may_ask(self):
        for values, door in (({}, "varserve"), ({"envoy": {"enabled": True}}, "varserve-envoy")):
            objects = render(values)
            self.assertTrue(self.allowed(objects, self.OTHER, door, "grpc"))
            self.assertFalse(self.allowed(objects, self.OTHER, door, "grpc", namespace="elsewhere"))

    def test_helm_test_gets_in(self):
        for enabled in (False, True):
            objects = render({"envoy": {"enabled": enabled}, "networkPolicy": {"from": [{"podSelector": {"matchLabels": self.CLIENT}}]}})
            self.assertTrue(self.allowed(objects, objects["Pod", "varserve-test"]["metadata"]["labels"], "varserve", "grpc"))

    def test_envoy_reaches_addresses_of_its_own(self):
        egress = render({"envoy": {"enabled": True, "addresses": ["a:1", "[fd00::1]:2"]}})["NetworkPolicy", "varserve-envoy"]["spec"]["egress"]
        self.assertEqual(egress[-1], {"ports": [{"port": 1}, {"port": 2}]})


class PodsTest(unittest.TestCase):
    TLS = {"tls": {"enabled": True, "existingSecret": "certificates", "requireClientCertificate": True}}

    def test_probes_need_no_certificate(self):
        for values, port in (({}, 50051), (self.TLS, 50052)):
            objects = render(values)
            server = container(objects)
            for probe, service in (("startup", "varserve.v1.VisionLanguage"), ("readiness", "varserve.v1.VisionLanguage"), ("liveness", "")):
                self.assertEqual(server[f"{probe}Probe"]["grpc"], {"port": port, "service": service})
            self.assertIn(port, [p["containerPort"] for p in server["ports"]])
            read = read_by_server(objects["ConfigMap", "varserve"]["data"]["flags"])
            self.assertEqual(read["health_listen"], "0.0.0.0:50052" if values else "")

    def test_ids_can_be_left_to_the_platform(self):
        ids = {"runAsUser", "runAsGroup", "fsGroup"}
        for values, left in [
            ({}, ids),
            ({"podSecurity": {"runAsUser": None}}, ids - {"runAsUser"}),
            ({"podSecurity": dict.fromkeys(ids)}, set()),
            ({"podSecurity": {"runAsUser": 1_000_680_000}}, ids),
        ]:
            objects = render({**values, "envoy": {"enabled": True}})
            specs = [o["spec"]["template"]["spec"] for (kind, _), o in objects.items() if kind == "Deployment"] + [objects["Pod", "varserve-test"]["spec"]]
            self.assertEqual(len(specs), 3)
            for spec in specs:
                self.assertEqual(ids & set(spec["securityContext"]), left)
                self.assertTrue(spec["securityContext"]["runAsNonRoot"])
                self.assertEqual(spec["securityContext"].get("runAsUser"), values.get("podSecurity", {}).get("runAsUser", 65532))

    def test_services_take_both_families(self):
        for (kind, name), o in render({"envoy": {"enabled": True}}).items():
            if kind == "Service":
                self.assertEqual(o["spec"]["ipFamilyPolicy"], "PreferDualStack", name)

    def test_the_door_stays_locked_without_tokens(self):
        for auth, tokens in [
            ({"required": True}, []),
            ({"tokens": ["alice s3same", "other"]}, ["alice s3same", "other"]),
        ]:
            objects = render({"auth": auth})
            lines = objects["Secret", "varserve-tokens"]["stringData"]["tokens"].splitlines()
            self.assertEqual([line for line in lines if not line.startswith("#")], tokens)
            self.assertIn("--token_file=/etc/varserve/tokens/tokens\n", objects["ConfigMap", "varserve"]["data"]["flags"])
        self.assertNotIn("token_file", flag_file({}))
        for token in ("", "# x", "a b c", "a\nb", " a"):
            self.assertTrue(refusal({"auth": {"tokens": [token]}}), repr(token))

    def test_notes_warn_of_tokens_in_plain_text(self):
        tokens, envoy_on, envoy_tls = {"auth": {"tokens": ["a"]}}, {"enabled": True}, {"enabled": True, "tls": {"existingSecret": "door"}}
        for values, warning in [
            ({}, None),
            (self.TLS | tokens, None),
            (tokens, "between clients and varserve."),
            (tokens | {"envoy": envoy_on}, "between clients and varserve-envoy."),
            (tokens | self.TLS | {"envoy": envoy_on}, "between clients and varserve-envoy."),
            (tokens | {"envoy": envoy_tls}, "between Envoy and varserve."),
            (tokens | self.TLS | {"envoy": envoy_tls}, None),
        ]:
            text = notes(values)
            self.assertEqual("WARNING" in text, warning is not None, text)
            self.assertIn(warning or "", text)


class EnvoyTest(unittest.TestCase):
    def config(self, **values) -> dict:
        values.setdefault("envoy", {})["enabled"] = True
        return yaml.safe_load(render(values)["ConfigMap", "varserve-envoy"]["data"]["envoy.yaml"])

    def check(self, config: dict) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "envoy.yaml"
            path.write_text(yaml.safe_dump(config))
            done = subprocess.run([ENVOY, "--mode", "validate", "-c", path], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_limits_follow_memory_and_the_greatest_message(self):
        self.assertEqual(defaults()["max_message_bytes"], "64M", "templates/envoy/_limits.tpl has the server's default")
        for memory, limit in (("1Gi", 1 << 30), ("3000M", 3_000_000_000), (2 << 30, 2 << 30)):
            for size, message in ((None, 64 * MIB), ("100M", 100 * MIB), (1_000_000, 1_000_000), ("0.5K", 512)):
                if 9 * message + 192 * MIB > limit:
                    continue
                config = self.config(envoy={"resources": {"limits": {"memory": memory}}}, flags={"max_message_bytes": size} if size else {})
                text = json.dumps(config)
                monitors = config["overload_manager"]["resource_monitors"]
                self.assertEqual(monitors[0]["typed_config"]["max_heap_size_bytes"], limit)
                self.assertEqual(monitors[1]["typed_config"]["max_active_downstream_connections"], limit // (4 * MIB))
                sizes = {int(n) for n in re.findall(r'"(?:request_body_buffer_limit|max_request_bytes|max_request_body_size)": (\d+)', text)}
                self.assertEqual(sizes, {message + 1024, message * 4 // 3 + 65536})
                breakers = config["static_resources"]["clusters"][0]["circuit_breakers"]["thresholds"][0]
                self.assertEqual((breakers["max_connections"], breakers["max_requests"]), (limit // (4 * MIB), limit // (MIB // 4)))

    def test_memory_that_cannot_hold_a_request_is_refused(self):
        self.assertIn("768Mi is enough", refusal({"envoy": {"enabled": True, "resources": {"limits": {"memory": "767Mi"}}}}))
        self.assertIn("is enough", refusal({"envoy": {"enabled": True}, "flags": {"max_message_bytes": "1G"}}))
        self.assertIn("is needed", refusal({"envoy": {"enabled": True, "resources": {"limits": None}}}))
        self.assertIn("is not a size", refusal({"envoy": {"enabled": True}, "flags": {"max_message_bytes": "64MB"}}))

    def test_envoy_takes_every_variant(self):
        for json_too, address, addresses in itertools.product((True, False), ("::", "0.0.0.0"), ([], ["host:1", "[::1]:2", "10.0.0.1:3"])):
            config = self.config(envoy={"json": json_too, "address": address, "addresses": addresses})
            self.check(config)
            listener = config["static_resources"]["listeners"][0]["address"]["socket_address"]
            self.assertEqual(listener.get("ipv4_compat", False), address == "::")
            ends = config["static_resources"]["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"]
            sockets = [(s["address"], s["port_value"]) for s in (e["endpoint"]["address"]["socket_address"] for e in ends)]
            self.assertEqual(sockets, [("host", 1), ("::1", 2), ("10.0.0.1", 3)] if addresses else [("varserve-headless.varserve.svc", 50051)])

    def test_threads_follow_the_cpu(self):
        for resources, source in ((None, "requests.cpu"), ({"limits": {"cpu": "2"}}, "limits.cpu")):
            envoy_values = {"enabled": True} | ({"resources": resources} if resources else {})
            proxy = container(render({"envoy": envoy_values}), "varserve-envoy")
            self.assertEqual(proxy["env"], [{"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": source}}}])
            self.assertEqual(proxy["args"][proxy["args"].index("--concurrency") + 1], "$(CPUS)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--helm", required=True)
    parser.add_argument("--server", required=True, help="varserve-server")
    args, rest = parser.parse_known_args()
    HELM, SERVER = args.helm, args.server
    unittest.main(argv=[sys.argv[0], *rest])

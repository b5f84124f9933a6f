"""What the Helm chart makes of values:
who may reach whom, probes, users, tokens, Envoy's limits, and what is refused."""

import itertools
import json
import pathlib
import re
import subprocess
import tempfile
import unittest
from typing import ClassVar

import envoy
import yaml

from chart import container, defaults, flag_file, notes, read_by_server, refusal, render

ENVOY = pathlib.Path(envoy.__file__).parent / "_bin" / "envoy"
MIB = 1 << 20


class NetworkPolicyTest(unittest.TestCase):
    CLIENT, OTHER, PROMETHEUS = {"app": "frontend"}, {"app": "other"}, {"app": "prometheus"}
    PORTS: ClassVar = {"grpc": 50051, "http": 8000, "metrics": 9464, "health": 50052}

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

    def test_clients_reach_the_servers(self) -> None:
        objects = render({"networkPolicy": {"from": [{"podSelector": {"matchLabels": self.CLIENT}}]}})
        self.assertTrue(self.allowed(objects, self.CLIENT, "varserve", "grpc"))
        self.assertFalse(self.allowed(objects, self.CLIENT, "varserve", "grpc", namespace="elsewhere"))
        self.assertFalse(self.allowed(objects, self.OTHER, "varserve", "grpc"))
        self.assertTrue(self.allowed(objects, self.CLIENT, "varserve", "http"))
        self.assertFalse(self.allowed(objects, self.OTHER, "varserve", "http"))
        self.assertFalse(self.allowed(objects, self.CLIENT, "varserve", "health"))
        self.assertTrue(self.allowed(objects, self.PROMETHEUS, "varserve", "metrics", namespace="monitoring"))

    def test_with_envoy_clients_reach_envoy_alone(self) -> None:
        objects = render(
            {"envoy": {"enabled": True}, "networkPolicy": {"from": [{"podSelector": {"matchLabels": self.CLIENT}}]}}
        )
        self.assertTrue(self.allowed(objects, self.CLIENT, "varserve-envoy", "grpc"))
        self.assertFalse(self.allowed(objects, self.OTHER, "varserve-envoy", "grpc"))
        self.assertFalse(self.allowed(objects, self.CLIENT, "varserve", "grpc"))
        self.assertFalse(self.allowed(objects, self.CLIENT, "varserve", "http"))
        for port in ("grpc", "http"):
            self.assertTrue(self.allowed(objects, self.envoy_labels(objects), "varserve", port))
        egress = objects["NetworkPolicy", "varserve-envoy"]["spec"]["egress"]
        self.assertEqual([p["port"] for rule in egress for p in rule["ports"]], [53, 53, 50051, 8000])
        server = objects["Deployment", "varserve"]["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(egress[-1]["to"][0]["podSelector"]["matchLabels"].items(), server.items())

    def test_clients_reach_http_where_envoy_does_not_carry_it(self) -> None:
        objects = render(
            {
                "envoy": {"enabled": True, "json": False},
                "networkPolicy": {"from": [{"podSelector": {"matchLabels": self.CLIENT}}]},
            }
        )
        self.assertTrue(self.allowed(objects, self.CLIENT, "varserve", "http"))
        self.assertFalse(self.allowed(objects, self.envoy_labels(objects), "varserve", "http"))
        egress = objects["NetworkPolicy", "varserve-envoy"]["spec"]["egress"]
        self.assertEqual([p["port"] for rule in egress for p in rule["ports"]], [53, 53, 50051])

    def test_by_default_the_namespace_may_ask(self) -> None:
        for values, door in (({}, "varserve"), ({"envoy": {"enabled": True}}, "varserve-envoy")):
            objects = render(values)
            self.assertTrue(self.allowed(objects, self.OTHER, door, "grpc"))
            self.assertFalse(self.allowed(objects, self.OTHER, door, "grpc", namespace="elsewhere"))

    def test_helm_test_gets_in(self) -> None:
        for enabled in (False, True):
            objects = render(
                {
                    "envoy": {"enabled": enabled},
                    "networkPolicy": {"from": [{"podSelector": {"matchLabels": self.CLIENT}}]},
                }
            )
            self.assertTrue(
                self.allowed(objects, objects["Pod", "varserve-test"]["metadata"]["labels"], "varserve", "grpc")
            )

    def test_envoy_reaches_addresses_of_its_own(self) -> None:
        own = {"enabled": True, "addresses": ["a:1", "[fd00::1]:2"]}
        for values, ports in (
            (own, [1, 2, 8000]),
            (own | {"httpAddresses": ["a:3", "[fd00::1]:4"]}, [1, 2, 3, 4]),
            (own | {"json": False}, [1, 2]),
        ):
            egress = render({"envoy": values})["NetworkPolicy", "varserve-envoy"]["spec"]["egress"]
            self.assertEqual(egress[-1], {"ports": [{"port": port} for port in ports]})


class PodsTest(unittest.TestCase):
    TLS: ClassVar = {"tls": {"enabled": True, "existingSecret": "certificates", "requireClientCertificate": True}}

    def test_probes_need_no_certificate(self) -> None:
        for values, port in (({}, 50051), (self.TLS, 50052)):
            objects = render(values)
            server = container(objects)
            for probe, service in (
                ("startup", "varserve.v1.VisionLanguage"),
                ("readiness", "varserve.v1.VisionLanguage"),
                ("liveness", ""),
            ):
                self.assertEqual(server[f"{probe}Probe"]["grpc"], {"port": port, "service": service})
            self.assertIn(port, [p["containerPort"] for p in server["ports"]])
            read = read_by_server(objects["ConfigMap", "varserve"]["data"]["flags"])
            self.assertEqual(read["health_listen"], "0.0.0.0:50052" if values else "")

    def test_ids_can_be_left_to_the_platform(self) -> None:
        ids = {"runAsUser", "runAsGroup", "fsGroup"}
        for values, left in [
            ({}, ids),
            ({"podSecurity": {"runAsUser": None}}, ids - {"runAsUser"}),
            ({"podSecurity": dict.fromkeys(ids)}, set()),
            ({"podSecurity": {"runAsUser": 1_000_680_000}}, ids),
        ]:
            objects = render({**values, "envoy": {"enabled": True}})
            specs = [o["spec"]["template"]["spec"] for (kind, _), o in objects.items() if kind == "Deployment"] + [
                objects["Pod", "varserve-test"]["spec"]
            ]
            self.assertEqual(len(specs), 3)
            for spec in specs:
                self.assertEqual(ids & set(spec["securityContext"]), left)
                self.assertTrue(spec["securityContext"]["runAsNonRoot"])
                self.assertEqual(
                    spec["securityContext"].get("runAsUser"), values.get("podSecurity", {}).get("runAsUser", 65532)
                )

    def test_services_take_both_families(self) -> None:
        for (kind, name), o in render({"envoy": {"enabled": True}}).items():
            if kind == "Service":
                self.assertEqual(o["spec"]["ipFamilyPolicy"], "PreferDualStack", name)

    def test_the_door_stays_locked_without_tokens(self) -> None:
        for auth, tokens in [
            ({"required": True}, []),
            ({"tokens": ["alice s3same", "other"]}, ["alice s3same", "other"]),
        ]:
            objects = render({"auth": auth})
            lines = objects["Secret", "varserve-tokens"]["stringData"]["tokens"].splitlines()
            self.assertEqual([line for line in lines if not line.startswith("#")], tokens)
            self.assertIn(
                "--token_file=/etc/varserve/tokens/tokens\n", objects["ConfigMap", "varserve"]["data"]["flags"]
            )
        self.assertNotIn("token_file", flag_file({}))
        for token in ("", "# x", "a b c", "a\nb", " a"):
            self.assertTrue(refusal({"auth": {"tokens": [token]}}), repr(token))

    def test_notes_warn_of_tokens_in_plain_text(self) -> None:
        tokens, envoy_on, envoy_tls = (
            {"auth": {"tokens": ["a"]}},
            {"enabled": True},
            {"enabled": True, "tls": {"existingSecret": "door"}},
        )
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
    def config(self, **values: object) -> dict:
        values.setdefault("envoy", {})["enabled"] = True
        return yaml.safe_load(render(values)["ConfigMap", "varserve-envoy"]["data"]["envoy.yaml"])

    def check(self, config: dict) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "envoy.yaml"
            path.write_text(yaml.safe_dump(config))
            done = subprocess.run(
                [ENVOY, "--mode", "validate", "-c", path], capture_output=True, text=True, check=False
            )
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_limits_follow_memory_and_the_greatest_message(self) -> None:
        self.assertEqual(defaults()["max_message_bytes"], "64M", "templates/envoy/_limits.tpl has the server's default")
        for memory, limit in (("1Gi", 1 << 30), ("3000M", 3_000_000_000), (2 << 30, 2 << 30)):
            for size, message in ((None, 64 * MIB), ("100M", 100 * MIB), (1_000_000, 1_000_000), ("0.5K", 512)):
                if 9 * message + 192 * MIB > limit:
                    continue
                config = self.config(
                    envoy={"resources": {"limits": {"memory": memory}}},
                    flags={"max_message_bytes": size} if size else {},
                )
                text = json.dumps(config)
                monitors = config["overload_manager"]["resource_monitors"]
                self.assertEqual(monitors[0]["typed_config"]["max_heap_size_bytes"], limit)
                self.assertEqual(monitors[1]["typed_config"]["max_active_downstream_connections"], limit // (4 * MIB))
                sizes = {
                    int(n)
                    for n in re.findall(
                        r'"(?:request_body_buffer_limit|max_request_bytes|max_request_body_size)": (\d+)', text
                    )
                }
                self.assertEqual(sizes, {message + 1024, message * 4 // 3 + 65536})
                breakers = config["static_resources"]["clusters"][0]["circuit_breakers"]["thresholds"][0]
                self.assertEqual(
                    (breakers["max_connections"], breakers["max_requests"]), (limit // (4 * MIB), limit // (MIB // 4))
                )

    def test_memory_that_cannot_hold_a_request_is_refused(self) -> None:
        self.assertIn(
            "768Mi is enough", refusal({"envoy": {"enabled": True, "resources": {"limits": {"memory": "767Mi"}}}})
        )
        self.assertIn("is enough", refusal({"envoy": {"enabled": True}, "flags": {"max_message_bytes": "1G"}}))
        self.assertIn("is needed", refusal({"envoy": {"enabled": True, "resources": {"limits": None}}}))
        self.assertIn("is not a size", refusal({"envoy": {"enabled": True}, "flags": {"max_message_bytes": "64MB"}}))

    def test_envoy_takes_every_variant(self) -> None:
        for json_too, address, addresses in itertools.product(
            (True, False), ("::", "0.0.0.0"), ([], ["host:1", "[::1]:2", "10.0.0.1:3"])
        ):
            config = self.config(envoy={"json": json_too, "address": address, "addresses": addresses})
            self.check(config)
            listener = config["static_resources"]["listeners"][0]["address"]["socket_address"]
            self.assertEqual(listener.get("ipv4_compat", False), address == "::")
            ends = config["static_resources"]["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"]
            sockets = [
                (s["address"], s["port_value"]) for s in (e["endpoint"]["address"]["socket_address"] for e in ends)
            ]
            self.assertEqual(
                sockets,
                [("host", 1), ("::1", 2), ("10.0.0.1", 3)]
                if addresses
                else [("varserve-headless.varserve.svc", 50051)],
            )

    def test_threads_follow_the_cpu(self) -> None:
        for resources, source in ((None, "requests.cpu"), ({"limits": {"cpu": "2"}}, "limits.cpu")):
            envoy_values = {"enabled": True} | ({"resources": resources} if resources else {})
            proxy = container(render({"envoy": envoy_values}), "varserve-envoy")
            self.assertEqual(proxy["env"], [{"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": source}}}])
            self.assertEqual(proxy["args"][proxy["args"].index("--concurrency") + 1], "$(CPUS)")

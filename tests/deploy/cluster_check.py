"""What deploy/ promises, tried on a real Kubernetes (scripts/cluster.sh):
each check prints a line; ends with 1 if one failed.

Helm and kubectl run on this machine inside the node's network;
so does the client, which reaches Services like a pod does.
"""

import argparse
import collections
import contextlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from certificates import certificate
from load import Call, Load, ask
from running_cluster import NAMESPACE, ROOT, Cluster, wait

PICTURES = sorted(str(p) for p in (ROOT / "models/embedded/samples").glob("*.jpg"))


class Checks:
    """The checks in order; each begins where the one before left the cluster: two replicas of the release varserve."""

    def __init__(self, cluster: Cluster, client: str, folder: str) -> None:
        self.cluster = cluster
        self.client = client
        self.folder = folder

    def ask(self, address: str, tokens: int = 4, picture: str = PICTURES[0]) -> Call:
        return ask(self.client, address, picture, tokens, prefix=self.cluster.network)

    @contextlib.contextmanager
    def load(self, address: str) -> Iterator[Load]:
        """Streams on through whatever happens in the block, and some more; then none that was accepted may be lost."""
        with Load(self.client, address, PICTURES, tokens=40, width=4, prefix=self.cluster.network) as load:
            load.wait_for(lambda: load.summary()["finished"] >= 4)
            yield load
            calls = load.summary()["calls"]
            load.wait_for(lambda: load.summary()["calls"] >= calls + 4)

    def evict(self, pod: dict) -> subprocess.CompletedProcess:
        name = pod["metadata"]["name"]
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
        return self.cluster.run("kubectl", "create", "--raw", path, "-f", "-", text=json.dumps(body), check=False)

    def settled(self, replicas: int = 2) -> None:
        """All replicas are ready, and the Service reaches them."""
        self.cluster.kubectl("rollout", "status", "deployment/varserve", "--timeout=600s")
        wait(lambda: len(self.cluster.pods()) == replicas, f"{replicas} pods")
        time.sleep(2)  # until kube-proxy has the addresses

    def lossless(self, load: Load) -> str:
        summary = load.summary()
        assert summary["lost"] == 0 and summary["finished"] == summary["calls"], summary
        parts = [f"{summary[key]} {key}" for key in ("accepted", "finished", "lost", "tokens")]
        return f"{summary['calls']} streams, {', '.join(parts)}"

    def check_install(self) -> str:
        """helm install --wait: pods get ready through gRPC startup, readiness and liveness probes"""
        start = time.monotonic()
        self.cluster.install("varserve", envoy__enabled="true")
        pods = self.cluster.pods()
        container = pods[0]["spec"]["containers"][0]
        assert len(pods) == 2 and all(
            "grpc" in container[p] for p in ("startupProbe", "readinessProbe", "livenessProbe")
        )
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] and security["capabilities"]["drop"] == ["ALL"]
        assert pods[0]["spec"]["securityContext"]["runAsNonRoot"]
        loaded = next(
            json.loads(line)
            for line in self.cluster.kubectl("logs", pods[0]["metadata"]["name"]).splitlines()
            if '"model loaded"' in line
        )
        assert loaded["threads"] == 1, loaded
        restarts = sum(s["restartCount"] for p in pods for s in p["status"]["containerStatuses"])
        assert restarts == 0, f"{restarts} restarts"
        return (
            f"2 pods and Envoy in {time.monotonic() - start:.0f} s; not root, read-only root, no capabilities, "
            f"{loaded['threads']} thread"
        )

    def check_answer(self) -> str:
        """a question is answered through the Service, and helm test passes"""
        time.sleep(2)
        call = self.ask(self.cluster.address("varserve"))
        assert call.finished, call
        self.cluster.run("helm", "test", "varserve", "--timeout", "2m")
        return f"{call.tokens} tokens from {self.cluster.address('varserve')}"

    def check_dns(self) -> str:
        """dns:/// of the headless Service spreads one client's calls over all replicas"""
        pod = self.cluster.pods()[0]["metadata"]["name"]
        addresses = self.cluster.kubectl(
            "exec", pod, "--", "getent", "ahostsv4", f"varserve-headless.{NAMESPACE}.svc.cluster.local"
        )
        found = {line.split()[0] for line in addresses.splitlines()}
        assert found == {p["status"]["podIP"] for p in self.cluster.pods()}, found
        answer = self.cluster.kubectl(
            "exec", pod, "--", "varserve", "model", "--address", "dns:///varserve-headless:50051"
        )
        assert "embedded" in answer, answer
        return f"{len(found)} addresses"

    def check_metrics(self) -> str:
        """every replica serves /metrics on the port the PodMonitor names"""
        ready = [self.cluster.metric(p, "varserve_ready") for p in self.cluster.pods()]
        assert ready == [1, 1], ready
        return "varserve_ready 1 on both"

    def check_envoy_affinity(self) -> str:
        """through Envoy all questions on a picture reach the replica that holds it"""
        address = self.cluster.address("varserve-envoy")
        wait(lambda: self.ask(address, 1).finished, "Envoy to answer", 60)
        before = {p["metadata"]["name"]: self.cluster.metric(p, "varserve_requests_total") for p in self.cluster.pods()}
        calls = [self.ask(address, 1, picture) for _ in range(3) for picture in PICTURES]
        hits = sum(c.cached_tokens > 0 for c in calls[len(PICTURES) :])
        assert all(c.finished for c in calls) and hits == 2 * len(PICTURES), f"{hits} hits"
        after = {p["metadata"]["name"]: self.cluster.metric(p, "varserve_requests_total") for p in self.cluster.pods()}
        shares = sorted(int(after[pod] - before[pod]) for pod in before)
        return f"{hits} of {2 * len(PICTURES)} repeated questions hit the prefix; replicas got {shares}"

    def check_delete_under_load(self) -> str:
        """kubectl delete pod under streaming load through the Service: no accepted request is lost"""
        with self.load(self.cluster.address("varserve")) as load:
            self.cluster.kubectl("delete", "pod", self.cluster.pods()[0]["metadata"]["name"])
            self.settled()
        return self.lossless(load)

    def check_rolling_upgrade_under_load(self) -> str:
        """helm upgrade to another image tag and flags under streaming load through the Service"""
        before = {p["metadata"]["uid"] for p in self.cluster.pods()}
        with self.load(self.cluster.address("varserve")) as load:
            start = time.monotonic()
            self.cluster.install("varserve", envoy__enabled="true", image__tag="next", var__mode="observe")
            seconds = time.monotonic() - start
            self.settled()
        pods = self.cluster.pods()
        assert not before & {p["metadata"]["uid"] for p in pods}
        assert all(p["spec"]["containers"][0]["image"] == "localhost/varserve:next" for p in pods)
        return f"{self.lossless(load)}, in {seconds:.0f} s"

    def check_rollback_under_load_through_envoy(self) -> str:
        """helm rollback under streaming load through Envoy"""
        with self.load(self.cluster.address("varserve-envoy")) as load:
            self.cluster.run("helm", "rollback", "varserve", "--wait", "--timeout", "10m")
            self.settled()
        assert all(p["spec"]["containers"][0]["image"] == "localhost/varserve:test" for p in self.cluster.pods())
        return self.lossless(load)

    def check_eviction(self) -> str:
        """the PodDisruptionBudget lets one of two be evicted and refuses the second"""
        wait(lambda: self.cluster.get("pdb", "varserve")["status"]["disruptionsAllowed"] == 1, "the budget")
        first, second = self.cluster.pods()
        allowed, refused = self.evict(first), self.evict(second)
        assert allowed.returncode == 0, allowed.stderr
        assert refused.returncode != 0 and "disruption budget" in refused.stderr + refused.stdout, refused
        self.settled()
        return "second eviction: " + re.sub(r"\s+", " ", refused.stderr).strip()[:100]

    def check_broken_model(self) -> str:
        """a wrong model path is a clear message of the pod, and the old replicas go on serving"""
        self.cluster.install(
            "varserve", wait=False, envoy__enabled="true", model__source="hostPath", model__hostPath="/srv"
        )
        message = ""

        def has_message() -> bool:
            nonlocal message
            for pod in self.cluster.pods():
                for status in pod["status"].get("containerStatuses", []):
                    for state in (status["state"], status["lastState"]):
                        message = message or state.get("terminated", {}).get("message", "")
            return bool(message)

        wait(has_message, "the pod's message")
        assert "/model" in message and "config.json" in message, message
        assert self.ask(self.cluster.address("varserve")).finished
        self.cluster.run("helm", "rollback", "varserve", "--wait", "--timeout", "10m")
        self.settled()
        return message.strip().splitlines()[-1]

    def check_tls(self) -> str:
        """a release with TLS on both sides of Envoy, client certificates and tokens, as OpenShift's user and group"""
        folder = pathlib.Path(self.folder)
        name = "secure-varserve.varserve.svc"
        self.secret(folder, name)
        self.cluster.install(
            "secure",
            replicas=1,
            tls__enabled="true",
            tls__existingSecret="certificates",
            tls__requireClientCertificate="true",
            podSecurity__runAsUser=1000680000,
            podSecurity__runAsGroup=0,
            podSecurity__fsGroup=1000680000,
            envoy__enabled="true",
            envoy__tls__existingSecret="certificates",
            **{"auth__tokens[0]": "sesame"},
        )
        self.cluster.run("helm", "test", "secure", "--timeout", "2m")
        tls = ("--tls-ca", str(folder / "ca.crt"), "--tls-server-name", name)
        own = ("--tls-cert", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key"))

        def code(*flags: str, service: str = "secure-varserve") -> str:
            return ask(
                self.client, self.cluster.address(service), PICTURES[0], 2, flags=flags, prefix=self.cluster.network
            ).code

        token = ("--token", "sesame")
        wait(lambda: code(*tls, *token, service="secure-varserve-envoy") == "OK", "Envoy to answer", 60)
        codes = {"all": code(*tls, *own, *token), "no token": code(*tls, *own), "no certificate": code(*tls, *token)}
        assert codes == {"all": "OK", "no token": "UNAUTHENTICATED", "no certificate": "UNAVAILABLE"}, codes
        return str(codes)

    def check_expired_certificate(self) -> str:
        """a certificate that expires restarts nothing, and a new one is taken without a restart"""
        folder = pathlib.Path(self.folder)
        name = "secure-varserve.varserve.svc"
        tls = ("--tls-ca", str(folder / "ca.crt"), "--tls-server-name", name)
        own = ("--tls-cert", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key"))
        flags = (*tls, *own, "--token", "sesame")

        def call() -> str:
            address = self.cluster.address("secure-varserve")
            return ask(self.client, address, PICTURES[0], 2, flags=flags, prefix=self.cluster.network).code

        self.secret(folder, name, days=-1)
        wait(lambda: call() == "UNAVAILABLE", "the expired certificate to be in use")
        time.sleep(60)  # liveness asks six times
        (pod,) = self.cluster.pods("secure")
        status = pod["status"]["containerStatuses"][0]
        assert status["restartCount"] == 0 and status["ready"], status
        self.secret(folder, name)
        wait(lambda: call() == "OK", "the new certificate to be in use")
        self.cluster.run("helm", "uninstall", "secure", "--wait")
        return "ready and not restarted while it was expired"

    def secret(self, folder: pathlib.Path, name: str, days: int = 2) -> None:
        """Makes the Secret "certificates", or changes it."""
        certificate(folder, f"DNS:{name}", days)
        files = [f"--from-file={file}={folder / file}" for file in ("tls.crt", "tls.key", "ca.crt")]
        made = self.cluster.kubectl(
            "create", "secret", "generic", "certificates", *files, "--dry-run=client", "--output", "yaml"
        )
        self.cluster.kubectl("apply", "--filename", "-", text=made)

    def check_autoscaler(self) -> str:
        """the HorizontalPodAutoscaler on waiting requests and queue time is accepted (no adapter feeds it here)"""
        self.cluster.install("varserve", envoy__enabled="true", autoscaling__mode="hpa", autoscaling__maxReplicas=3)
        hpa = self.cluster.get("hpa", "varserve")
        names = [m["pods"]["metric"]["name"] for m in hpa["spec"]["metrics"]]
        assert names == ["varserve_requests_waiting", "varserve_queue_time_seconds_p90"], names
        return f"accepted with {', '.join(names)}"

    def check_uninstall(self) -> str:
        """helm uninstall leaves nothing"""
        self.cluster.run("helm", "uninstall", "varserve", "--wait", "--timeout", "10m")
        kinds = "deployments,services,configmaps,secrets,pdb,hpa,networkpolicies,serviceaccounts"
        left = self.cluster.kubectl("get", kinds, "--selector", "app.kubernetes.io/name=varserve", "--output", "name")
        assert not left, left
        return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", type=pathlib.Path, required=True, help="folder of the running cluster")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="build folder with the client")
    parser.add_argument("checks", nargs="*", help="only these, by name without check_")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return run(Checks(Cluster(args.cluster), str(args.build / "bin/varserve"), folder), args.checks)


def run(checks: Checks, only: list[str]) -> int:
    names = only or [name.removeprefix("check_") for name in vars(Checks) if name.startswith("check_")]
    results = collections.Counter()
    for name in names:
        check = getattr(checks, f"check_{name}")
        try:
            result = check()
            verdict = "ok"
        except (AssertionError, RuntimeError, TimeoutError, subprocess.SubprocessError) as error:
            result, verdict = f"{type(error).__name__}: {error}", "FAIL"
        results[verdict] += 1
        print(f"{verdict:4} {check.__doc__}" + (f"\n     {result}" if result else ""), flush=True)
    print(f"{results['ok']} ok, {results['FAIL']} failed")
    return 1 if results["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())

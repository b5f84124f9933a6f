"""A server, Prometheus with this repository's rules, traffic, and Grafana if it is on the machine, until stopped
(Ctrl-C)."""

import argparse
import itertools
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading

from stack import ROOT, Prometheus, ServerProcess, stopping
from traffic import mixed, send_all


class Grafana:
    """Grafana with the repository's dashboards, readable without an account; on this machine only."""

    def __init__(self, binary: str, port: int, prometheus: str) -> None:
        self._data = tempfile.TemporaryDirectory(prefix="varserve_grafana_")
        environment = {
            **os.environ,
            "GF_PATHS_PROVISIONING": str(ROOT / "deploy/grafana/provisioning"),
            "GF_PATHS_DATA": self._data.name,
            "GF_SERVER_HTTP_ADDR": "127.0.0.1",
            "GF_SERVER_HTTP_PORT": str(port),
            "GF_AUTH_ANONYMOUS_ENABLED": "true",
            "PROMETHEUS_URL": prometheus,
            "VARSERVE_DASHBOARDS": str(ROOT / "deploy/grafana"),
        }
        command = [binary, "server"] if pathlib.Path(binary).name == "grafana" else [binary]
        home = pathlib.Path("/usr/share/grafana")
        command += ["--homepath", str(home)] if home.is_dir() else []
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._data.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev observe", description=__doc__)
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--model", required=True, help=argparse.SUPPRESS)
    parser.add_argument(
        "--workers", type=int, default=2, help="requests at a time; 0: none, send your own (default: 2)"
    )
    parser.add_argument("--listen", type=int, default=50051, help="port of gRPC (default: 50051)")
    parser.add_argument("--prometheus", type=int, default=9090, help="port of Prometheus (default: 9090)")
    parser.add_argument("--grafana", type=int, default=3000, help="port of Grafana (default: 3000)")
    args = parser.parse_args()

    server = ServerProcess(args.build, args.model, "--model_name=embedded", listen=f"127.0.0.1:{args.listen}")
    with stopping(server):
        server.wait_until_ready()
        prometheus = Prometheus([server.metrics_address], port=args.prometheus)
        with stopping(prometheus):
            _serve(args, server, prometheus)


def _serve(args: argparse.Namespace, server: ServerProcess, prometheus: Prometheus) -> None:
    print(f"server      {server.address}")
    print(f"metrics     http://{server.metrics_address}/metrics")
    print(f"Prometheus  http://{prometheus.address}/alerts")
    binary = shutil.which("grafana") or shutil.which("grafana-server")
    processes = [Grafana(binary, args.grafana, f"http://{prometheus.address}")] if binary else []
    where = (
        f"http://127.0.0.1:{args.grafana}/dashboards"
        if binary
        else "not on this machine; its dashboards are deploy/grafana/*.json"
    )
    print(f"Grafana     {where}")
    print("Ctrl-C stops all of it", flush=True)
    with stopping(*processes):
        stop = threading.Event()
        asks = mixed(seed=0)
        try:
            while server.process.poll() is None:
                if args.workers:
                    send_all(server.address, itertools.islice(asks, 100), args.workers, stop)
                else:
                    stop.wait(1)
        except KeyboardInterrupt:
            stop.set()
    if server.process.poll() not in (None, 0):
        raise SystemExit(f"the server ended:\n{server.log()}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except RuntimeError as error:
        raise SystemExit(f"observe: {error}") from None

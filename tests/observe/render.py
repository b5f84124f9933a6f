"""Draws both dashboards' panels, after a while of real traffic, into docs/images."""

import argparse
import threading
import time

from drawing import Source, draw
from stack import ROOT, Prometheus, ServerProcess, stopping
from traffic import mixed, send_all


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev observe --render", description=__doc__)
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--model", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, default=90, help="of traffic (default: 90)")
    parser.add_argument("--workers", type=int, default=3, help="requests at a time (default: 3)")
    args = parser.parse_args()

    server = ServerProcess(args.build, args.model, "--model_name=embedded")
    with stopping(server):
        server.wait_until_ready()
        prometheus = Prometheus([server.metrics_address], hurry=True)
        with stopping(prometheus):
            prometheus.wait_for("count_over_time(varserve_ready[1m]) >= 2")
            start = time.time()
            stop = threading.Event()
            timer = threading.Timer(args.seconds, stop.set)
            timer.start()
            answers = send_all(server.address, mixed(seed=1), args.workers, stop)
            prometheus.wait_for("sum(varserve_requests_running) == 0")
            end = prometheus.number("timestamp(varserve_ready)")
            for name in ("serving", "var"):
                path = ROOT / f"docs/images/dashboard-{name}.png"
                path.parent.mkdir(exist_ok=True)
                draw(name, Source(prometheus, "embedded", start, end), path)
                print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB, {len(answers)} answers")


if __name__ == "__main__":
    main()

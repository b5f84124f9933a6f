"""The demo against a real server with the embedded model: what a newcomer sees first is right.

Needs VARSERVE_ADDRESS and VARSERVE_CLIENT; `./dev test` sets them.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import demo  # noqa: E402

ADDRESS, CLIENT = os.environ["VARSERVE_ADDRESS"], os.environ["VARSERVE_CLIENT"]
QUESTIONS_FILE = demo.DEMO / "questions.json"
QUESTIONS = json.loads(QUESTIONS_FILE.read_text(encoding="utf-8"))
LEAST_MARGIN = 2.0  # nats; instruction sets and float32 move the margins of these answers by 0.2 at most


def run_demo(page: Path, questions: Path = QUESTIONS_FILE) -> subprocess.CompletedProcess[str]:
    flags = ["--address", ADDRESS, "--page", str(page), "--questions", str(questions)]
    command = [sys.executable, str(ROOT / "scripts" / "demo.py"), *flags, "--", CLIENT]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def replies(command: str, item: dict[str, str], *flags: str) -> list[dict]:
    """What the client prints with --json."""
    picture = str(demo.DEMO / item["picture"])
    run = subprocess.run(
        [CLIENT, command, "--address", ADDRESS, "--json", *flags, picture, item["question"]],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


class DemoTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.page = self.folder / "new" / "explain.html"

    def run_altered(self, **item: str) -> subprocess.CompletedProcess[str]:
        """The demo with another first question and another comparison."""
        questions = json.loads(json.dumps(QUESTIONS))
        questions["ask"][0].update(item)
        questions["compare"].update(item)
        file = self.folder / "questions.json"
        file.write_text(json.dumps(questions), encoding="utf-8")
        return run_demo(self.page, file)

    def test_shows_every_right_answer_and_writes_the_page(self) -> None:
        run = run_demo(self.page)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        for item in QUESTIONS["ask"]:
            command = f'$ varserve ask {item["picture"]} "{item["question"]}"'
            self.assertIn(f"{command}\n{item['answer']}\n", run.stdout)
        self.assertIn(f"\n{self.page.resolve().as_uri()}\n", run.stdout)
        data = demo.page_data(self.page.read_text(encoding="utf-8"))
        self.assertGreater(data["totals"]["visual_sinks"], 0)
        self.assertGreater(data["totals"]["redistributed"], 0)

    def test_compare_gives_the_right_answer_with_var_off_and_on(self) -> None:
        item = QUESTIONS["compare"]
        finished = [r["response"]["finished"] for r in replies("compare", item) if "finished" in r["response"]]
        self.assertEqual([reply["text"] for reply in finished], [item["answer"]] * 2)
        self.assertEqual(["var_report" in reply for reply in finished].count(True), 1)

    def test_no_token_is_chosen_narrowly(self) -> None:
        """So the answers are the same on every processor, however it rounds."""
        for item in [*QUESTIONS["ask"], QUESTIONS["compare"]]:
            for mode in ("off", "on"):
                with self.subTest(question=item["question"], var=mode):
                    deltas = [
                        reply["delta"]
                        for reply in replies("ask", item, "--logprobs", "2", "--var", mode)
                        if "delta" in reply
                    ]
                    tokens = [token for delta in deltas for token in delta["logprobs"]]
                    self.assertNotEqual(tokens, [])
                    for token in tokens:
                        best, second = token["top"]
                        self.assertGreater(best["logprob"] - second["logprob"], LEAST_MARGIN)

    def test_wrong_answer_fails(self) -> None:
        run = self.run_altered(answer="Two beds.")
        self.assertEqual(run.returncode, 1)
        for item, times in ((QUESTIONS["ask"][0], 1), (QUESTIONS["compare"], 2)):  # with VAR off and on
            self.assertEqual(
                run.stderr.count(f'"{item["question"]}": "{item["answer"]}" instead of "Two beds."'), times
            )

    def test_client_that_fails_ends_the_demo(self) -> None:
        run = self.run_altered(picture="missing.jpg")
        self.assertEqual(run.returncode, 1)
        self.assertIn("missing.jpg", run.stderr)
        self.assertFalse(self.page.exists())


if __name__ == "__main__":
    unittest.main()

"""Asking a server, with a script in place of its client."""

import sys
import tempfile
import unittest
from pathlib import Path

from PIL import Image

from evaluation.server_answerer import ServerAnswerer, ServerError

CLIENT = f"""#!{sys.executable}
import json, sys
from PIL import Image
*flags, picture, question = sys.argv[1:]
if question == "fail":
    sys.exit("var.rho: 2 is not in [0, 1]")
text = f"{{Image.open(picture).size}} {{question}} {{flags}}"
print(json.dumps({{"started": {{}}}}))
print(json.dumps({{"finished": {{"text": text, "var_report": {{"eligible_rows": len(question)}}}}}}))
"""


class ServerAnswererTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.client = Path(folder.name, "client")
        self.client.write_text(CLIENT)
        self.client.chmod(0o755)

    def test_replies_and_reports_come_in_the_questions_order(self) -> None:
        answerer = ServerAnswerer("host:1", ["--var", "on"], self.client)
        replies = answerer.answer(Image.new("RGB", (30, 20)), ["a", "bb", "ccc"])
        flags = ["ask", "--address", "host:1", "--json", "--var", "on"]
        self.assertEqual(replies, [f"(30, 20) {question} {flags}" for question in ("a", "bb", "ccc")])
        self.assertEqual([report["eligible_rows"] for report in answerer.reports], [1, 2, 3])

    def test_a_refused_question_is_an_error_with_the_clients_words(self) -> None:
        with self.assertRaisesRegex(ServerError, "var.rho: 2"):
            ServerAnswerer("host:1", [], self.client).answer(Image.new("RGB", (1, 1)), ["a", "fail"])

    def test_a_missing_client_is_an_error(self) -> None:
        with self.assertRaisesRegex(ServerError, "No such file"):
            ServerAnswerer("host:1", [], self.client.with_name("none")).answer(Image.new("RGB", (1, 1)), ["a"])


if __name__ == "__main__":
    unittest.main()

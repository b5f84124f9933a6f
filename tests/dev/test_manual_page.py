"""Manual pages out of --help, in both forms that the programs print: packaging/manual_page.py."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

ABSEIL = """Serves a model over gRPC.
  varserve-server --model DIR [FLAG...]

  --dtype (default: "auto";)
      Type of the weights:
      .float or so
  --drain_seconds (default: 30;)
      Seconds that requests have
"""
CLI11 = """Ask a server.
Usage: varserve [OPTIONS] SUBCOMMAND

Options:
  -h,--help                   Print this

Subcommands:
  ask                         Answer a question
                              about pictures
  health                      Check it

Exit codes:
  0    ok
"""
ASK = """Answer a question
Usage: varserve ask [OPTIONS] IMAGE

Options:
  --max-tokens N              Maximum length
                              of the answer
"""


class ManualPageTest(unittest.TestCase):
    def page(self, name: str, answers: dict[str, str]) -> str:
        """Of a program that prints the answer of its arguments."""
        with tempfile.TemporaryDirectory() as folder:
            program, out = pathlib.Path(folder, "program"), pathlib.Path(folder, "page")
            answers = answers | {"--version": f"{name} 1.2.3\n"}
            program.write_text(f"#!{sys.executable}\nimport sys\nprint({answers!r}[' '.join(sys.argv[1:])], end='')\n")
            program.chmod(0o755)
            subprocess.run([sys.executable, ROOT / "packaging/manual_page.py", program, "8", out], check=True)
            return out.read_text()

    def test_abseil(self) -> None:
        page = self.page("varserve-server", {"--help": ABSEIL})
        self.assertTrue(page.startswith('.TH VARSERVE-SERVER 8 "" "VARServe 1.2.3"\n.SH NAME\n'))
        self.assertIn("varserve-server \\- Serves a model over gRPC\n", page)
        self.assertIn('.TP\n\\fB\\-\\-dtype\\fR (default: "auto";)\nType of the weights:\n\\&.float or so\n', page)
        self.assertIn(".TP\n\\fB\\-\\-drain_seconds\\fR (default: 30;)\nSeconds that requests have\n", page)

    def test_cli11_with_its_commands(self) -> None:
        page = self.page("varserve", {"--help": CLI11, "ask --help": ASK, "health --help": "Check it\n"})
        self.assertIn(".SS\nSubcommands\n.TP\n\\fBask\\fR\nAnswer a question\nabout pictures\n.TP\n", page)
        self.assertIn(".SS\nExit codes\n.TP\n\\fB0\\fR\nok\n", page)
        self.assertIn('.SH "VARSERVE ASK"\nAnswer a question\n', page)
        self.assertIn(".TP\n\\fB\\-\\-max\\-tokens\\fR N\nMaximum length\nof the answer\n", page)
        self.assertIn('.SH "VARSERVE HEALTH"\nCheck it\n', page)


if __name__ == "__main__":
    unittest.main()

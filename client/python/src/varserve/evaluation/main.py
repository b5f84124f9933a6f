"""The command varserve-eval."""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from varserve.errors import InvalidArgumentError, ResourceExhaustedError, UnavailableError, VarserveError
from varserve.evaluation.answers_file import AnswersFile, Header, read_answers, unfinished
from varserve.evaluation.benchmark import Benchmark, Protocol, Question
from varserve.evaluation.benchmarks import BENCHMARKS
from varserve.evaluation.connection import connect, connection_flags
from varserve.evaluation.data_folder import DataFolder
from varserve.evaluation.errors import EvaluationError
from varserve.evaluation.plots import write_plots
from varserve.evaluation.results import evaluate, read_results, write_results
from varserve.evaluation.run import ask_all, choose
from varserve.evaluation.tables import comma_separated, markdown, paper
from varserve.intervention import METHODS, parse_setting
from varserve.requests import Setting

DEFAULT_SETTINGS = ["off", "on:preset=hallucination"]
RESULTS_ENDING = ".results.json"


def main(arguments: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    try:
        return int(args.command(args))
    except UnavailableError as error:
        print(f"varserve-eval: {error}\n--address names the server, the --tls flags how to trust it", file=sys.stderr)
        return 1
    except (EvaluationError, VarserveError) as error:
        print(f"varserve-eval: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("varserve-eval: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="varserve-eval",
        description="Measure what Visual Attention Redistribution and other interventions do, on benchmarks.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="the benchmarks, and which files they read")
    listing.set_defaults(command=_list)
    run = commands.add_parser(
        "run",
        parents=[connection_flags()],
        help="ask a server a benchmark's questions and print the results",
        description="Asks each question once under all settings, so that a picture is computed once. The same command "
        "resumes where it was stopped.",
    )
    run.add_argument("benchmark", choices=BENCHMARKS, metavar="BENCHMARK", help="see varserve-eval list")
    run.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder with the benchmark's official files"
    )
    run.add_argument(
        "--out", type=Path, default=Path("results"), metavar="DIR", help="for answers and results (%(default)s)"
    )
    run.add_argument(
        "--settings",
        nargs="+",
        metavar="SETTING",
        default=DEFAULT_SETTINGS,
        help="VAR off, observe or on, with fields of VarOptions: on:preset=hallucination,rho=0.4; or another method "
        f"({', '.join(METHODS)}), with its fields: pai:alpha=0.3; or a method that changes attention and, after it, a "
        f"contrast: on+vcd:alpha=0.5 (default: {' '.join(DEFAULT_SETTINGS)})",
    )
    run.add_argument(
        "--baseline", metavar="SETTING", help="the setting that others are compared with (default: the first)"
    )
    run.add_argument("--protocol", metavar="NAME", help="whose prompts and reading of answers: official or lmms-eval")
    run.add_argument("--subsets", nargs="+", metavar="NAME", default=[], help="only these (default: all)")
    run.add_argument("--limit", type=_positive, metavar="N", help="only N pictures, drawn the same way each time")
    run.add_argument("--max-tokens", type=_positive, metavar="N", help="of an answer (default: the benchmark's)")
    run.add_argument("--concurrency", type=_positive, default=8, metavar="N", help="questions at a time (%(default)s)")
    run.set_defaults(command=_run)
    report = commands.add_parser("report", help="show the results of runs")
    report.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="--out of the runs")
    report.add_argument("--format", choices=("table", "csv", "json"), default="table", help="default: %(default)s")
    report.add_argument(
        "--plots", type=Path, metavar="DIR", help="also write SVG files: differences with intervals, attention by layer"
    )
    report.add_argument(
        "--paper", action="store_true", help="as the tables of the VAR paper; what is missing was not run"
    )
    report.set_defaults(command=_report)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number of at least 1')
    return int(text)


def _list(_: argparse.Namespace) -> int:
    for benchmark in BENCHMARKS.values():
        protocols = ", ".join(protocol.name for protocol in benchmark.protocols)
        print(f"{benchmark.name}: {benchmark.title}")
        for line in (
            f"files: {benchmark.files}",
            f"metrics: {', '.join(benchmark.metrics)}; protocols: {protocols}",
            *benchmark.notes,
        ):
            print(textwrap.fill(line, 100, initial_indent="    ", subsequent_indent="      "))
    return 0


def _run(args: argparse.Namespace) -> int:
    benchmark = BENCHMARKS[args.benchmark]
    baseline = args.baseline or args.settings[0]
    settings = _settings(args.settings)
    if baseline not in args.settings:
        raise EvaluationError(f"--baseline: {baseline} is not among --settings {' '.join(args.settings)}")
    try:
        protocol = benchmark.protocol(args.protocol)
    except KeyError as error:
        raise EvaluationError(f"--protocol: {error.args[0]}") from None
    folder = DataFolder(args.data, benchmark.title, benchmark.files, args.subsets)
    questions = _questions(benchmark, folder, protocol, args)
    max_tokens = args.max_tokens or benchmark.max_tokens
    path = args.out / f"{benchmark.name}-{protocol.name}.jsonl"
    with connect(args) as client:
        header = Header(
            benchmark=benchmark.name,
            protocol=protocol.name,
            model=client.model().name,
            settings=args.settings,
            max_tokens=max_tokens,
            limit=args.limit,
            subsets=args.subsets,
            questions=len(questions),
        )
        answers = AnswersFile(path, header)
        try:
            ask_all(client, questions, settings, max_tokens, answers, args.concurrency)
        except (UnavailableError, ResourceExhaustedError, KeyboardInterrupt):
            if answers.done:
                print("the same command continues from here", file=sys.stderr)
            raise
        finally:
            answers.close()
    header, given = read_answers(path)
    results = evaluate(benchmark, protocol, header, questions, given, baseline)
    write_results(path.with_suffix(RESULTS_ENDING), results)
    if benchmark.export is not None:
        for i, setting in enumerate(args.settings):
            said = [(question, given[question.id][i].text) for question in questions]
            name = re.sub(r"[^\w.=-]+", "_", setting)
            file = path.with_suffix(f".{name}.json")
            file.write_text(json.dumps(benchmark.export(said), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"wrote {file} for the benchmark's own judge", file=sys.stderr)
    print(markdown(results))
    return 0


def _questions(
    benchmark: Benchmark, folder: DataFolder, protocol: Protocol, args: argparse.Namespace
) -> list[Question]:
    loaded = benchmark.load(folder, protocol)
    known = benchmark.subsets or sorted({question.subset for question in loaded})
    if unknown := [subset for subset in args.subsets if subset not in known]:
        raise EvaluationError(f"--subsets: {unknown[0]} is not one of {', '.join(known)}")
    questions = choose(loaded, args.subsets, args.limit)
    if not questions:
        raise EvaluationError(f"{benchmark.title} has no questions in {args.data}")
    return questions


def _settings(texts: Sequence[str]) -> dict[str, Setting]:
    """As they are written, and what they are."""
    settings: dict[str, Setting] = {}
    for text in texts:
        if text in settings:
            raise EvaluationError(f"--settings: {text} is there twice")
        try:
            settings[text] = parse_setting(text)
        except InvalidArgumentError as error:
            raise EvaluationError(f"--settings {text}: {error.message}") from None
    return settings


def _unfinished(folders: Sequence[Path]) -> list[str]:
    """What to say of the runs that have no results yet."""
    paths = [path for folder in folders for name in BENCHMARKS for path in sorted(folder.glob(f"{name}-*.jsonl"))]
    return [unfinished(path) for path in paths if not path.with_suffix(RESULTS_ENDING).exists()]


def _report(args: argparse.Namespace) -> int:
    if args.paper and args.format != "table":
        raise EvaluationError(f"--paper: has tables only; leave out --format {args.format}")
    for folder in args.folders:
        if not folder.is_dir():
            raise EvaluationError(f"{folder} is not a folder; name the --out of varserve-eval run")
    paths = [path for folder in args.folders for path in sorted(folder.glob(f"*{RESULTS_ENDING}"))]
    begun = _unfinished(args.folders)
    if not paths and not args.paper:
        none = f"there are no results in {', '.join(map(str, args.folders))}; varserve-eval run makes them"
        raise EvaluationError("\n".join(begun) or none)
    for line in begun:
        print(line, file=sys.stderr)
    all_results = [read_results(path) for path in paths]
    if args.plots is not None:
        for results in all_results:
            for file in write_plots(results, args.plots):
                print(f"wrote {file}", file=sys.stderr)
    if args.paper:
        print(paper(all_results))
    elif args.format == "csv":
        print(comma_separated(all_results), end="")
    elif args.format == "json":
        print(
            json.dumps([json.loads(path.read_text(encoding="utf-8")) for path in paths], indent=1, ensure_ascii=False)
        )
    else:
        print("\n".join(markdown(results) for results in all_results))
    return 0

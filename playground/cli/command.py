"""The command's five parts, each with its options; each part is imported where it is asked for."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence

NAME = "decoding-playground"
EXAMPLES = f"""
examples:
  {NAME} run
  {NAME} compare "The capital of France is" greedy "top_p(0.9) | sample" --seed 7
  {NAME} compare "Once upon a time" "min_p(0.1) | sample" --html -o story.html
  {NAME} experiment question.toml -o report.html
  {NAME} strategies min_p
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status is 1 for a failure and 2 for arguments that mean nothing."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["bench"]:  # which has options of its own, its help among them
        return _bench(given[1:])
    parser = _parser()
    options = parser.parse_args(given)
    if not hasattr(options, "part"):
        parser.print_help()
        return 0
    from playground.settings import SettingsError, quiet_libraries

    quiet_libraries()
    try:
        status: int = options.part(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever reads it has seen enough, as `head` has
        sys.stdout = open(os.devnull, "w")  # which Python flushes at the end
        return 0
    except SettingsError as error:
        return failed(str(error))
    except KeyboardInterrupt:  # while a model is loaded, or for the second time
        return 130


def failed(sentence: str) -> int:
    """Tell on standard error why there is no result; the exit status."""
    print(sentence, file=sys.stderr)
    return 1


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog=NAME,
        description="Compare decoding strategies of a language model side by side.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    parts = parser.add_subparsers(title="commands", metavar="COMMAND")

    def part(name: str, words: str, work: Callable[[Namespace], int]) -> ArgumentParser:
        made: ArgumentParser = parts.add_parser(
            name, help=words, description=f"{words[0].upper()}{words[1:]}."
        )
        made.set_defaults(part=work)
        return made

    from playground.settings import options

    page = part("run", "serve the page and the HTTP API", _run)
    page.usage = f"{NAME} run [options]"
    page.epilog = "Each is also a variable of the environment: --max-rows is PLAYGROUND_MAX_ROWS."
    options.add(page)
    compared = part("compare", "write one prompt's continuation with several recipes", _compare)
    _add_comparison(compared)
    from playground.cli import experiment

    experiment.add(part("experiment", "say which recipe is better, and how surely", _experiment))
    part("bench", "measure speed and memory (it has its own --help)", lambda options: _bench([]))
    listed = part("strategies", "list what a recipe can be made of", _strategies)
    listed.add_argument("id", nargs="?", help="tell all of this one")
    listed.add_argument("--json", action="store_true", help="as GET /api/strategies answers")
    return parser


def _add_comparison(parser: ArgumentParser) -> None:
    parser.add_argument("prompt", help="the text to continue; - reads it from standard input")
    parser.add_argument(
        "recipes", nargs="+", metavar="recipe", help='such as "top_p(0.9) | sample"'
    )
    form = parser.add_mutually_exclusive_group()
    for name, words in (
        ("json", "all that is known of the run, which loads back without a model"),
        ("html", "one file with the whole inspector, for a browser"),
        ("csv", "a row for each token"),
    ):
        form.add_argument(
            f"--{name}", dest="form", action="store_const", const=name, help=f"write {words}"
        )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write there; its ending names the form"
    )
    parser.add_argument("--model", help="a folder or a hub id; the built-in model by default")
    parser.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:1")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("-n", "--max-new-tokens", type=int, default=64, help="of each text (64)")
    parser.add_argument("--min-new-tokens", type=int, default=0, help="before a text may end (0)")
    parser.add_argument("--seed", type=int, default=0, help="luck, which all recipes share (0)")
    parser.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="ends a text; may be repeated"
    )
    parser.add_argument("--top-n", type=int, default=20, help="candidates kept of a token (20)")
    parser.add_argument("--chat", action="store_true", help="use the model's chat template")
    parser.add_argument(
        "--alone", action="store_true", help="one recipe after the other, for times"
    )
    parser.add_argument(
        "--split-special-tokens",
        action="store_true",
        help="read names of control tokens in the prompt as plain text",
    )


def _run(options: Namespace) -> int:
    from playground.cli.run import serve
    from playground.settings.options import read

    settings = read(options)
    try:
        serve(settings)
    except OSError as error:  # the port is taken
        return failed(str(error))
    return 0


def _compare(options: Namespace) -> int:
    from playground.cli.compare import compare

    return compare(options)


def _experiment(options: Namespace) -> int:
    from playground.cli.experiment import experiment

    return experiment(options)


def _strategies(options: Namespace) -> int:
    from playground.cli.strategies import listed

    return listed(options.id, options.json)


def _bench(arguments: list[str]) -> int:
    from playground.settings import SettingsError, quiet_libraries

    quiet_libraries()
    from playground.bench.__main__ import main as measure
    from playground.errors import ModelError

    try:
        measure(arguments, prog=f"{NAME} bench")
    except (SettingsError, ModelError) as error:
        return failed(str(error))
    return 0


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{NAME} {version(NAME)}"
    except PackageNotFoundError:  # run from its folder
        return f"{NAME}, not installed"

"""What holds the house together beside import-linter: sizes, names with units, docstrings, no waivers."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from triton_users.collect import agent
from triton_users.options import OPTIONS, page

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "triton_users"
FILES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = ("triton_users", "tests", "benchmarks", "grafana")
PYTHON = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

MAX_FILE = 400
MAX_TESTS = 450
"""A file of tests is a list: it is not made clearer by being cut off at a case."""
MAX_FUNCTION = 60
MAX_LOCUSTFILE = 30
MAX_PLUGIN = 120

STRICT_ROOMS = ("wire", "stats", "schedule", "engine")
WAIVER = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma:\s*no cover|ruff:|mypy:)")

DURATIONS = re.compile(
    r"(?:^|_)(?:duration|latency|interval|warm_up|drain|timeout|deadline|elapsed|lag|age|period|wait)s?$"
)
"""A number in a dataclass must not end in one of these but in a unit: latency_ns."""

BY_TRITON = "triton_users/demo/models/"
"""Files that Triton loads: their classes are named by Triton, and the file says what its one model does."""

Def = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def trees(files: list[Path] = FILES) -> Iterator[tuple[str, ast.Module]]:
    for path in files:
        yield named(path), ast.parse(path.read_text())


def test_no_file_is_past_400_lines() -> None:
    def limit(path: Path) -> int:
        return MAX_TESTS if path.name.startswith("test_") else MAX_FILE

    assert [f"{named(path)}: {lines(path)}" for path in PYTHON if lines(path) > limit(path)] == []


def test_no_function_is_past_60_lines() -> None:
    long = [
        f"{name}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION
    ]
    assert long == []


def test_every_module_class_and_public_function_says_what_it_is() -> None:
    silent = [f"{name}: module" for name, tree in trees() if tree.body and not ast.get_docstring(tree)]
    silent += [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in trees()
        if not name.startswith(BY_TRITON)
        for node in tree.body
        if isinstance(node, Def) and not node.name.startswith("_") and not _says_itself(node)
    ]
    assert silent == []


def _says_itself(node: Def) -> bool:
    """A docstring; or a body of one statement, which says more than a sentence about it would."""
    return ast.get_docstring(node) is not None or (
        not isinstance(node, ast.ClassDef) and len(node.body) == 1 and isinstance(node.body[0], ast.Return)
    )


def test_durations_carry_their_unit_in_their_name() -> None:
    nameless = [
        f"{name}:{field.lineno} {node.name}.{field.target.id}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(d) for d in node.decorator_list)
        for field in node.body
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and DURATIONS.search(field.target.id)
        and re.search(r"\b(?:int|float)\b", ast.unparse(field.annotation))
    ]
    assert nameless == []


@pytest.mark.parametrize("room", STRICT_ROOMS)
def test_no_waivers_where_numbers_are_made(room: str) -> None:
    waived = []
    for path in sorted((PACKAGE / room).rglob("*.py")):
        with path.open("rb") as file:
            waived += [
                f"{named(path)}:{token.start[0]} {token.string}"
                for token in tokenize.tokenize(file.readline)
                if token.type == tokenize.COMMENT and WAIVER.match(token.string)
            ]
    assert waived == []


def test_a_locustfile_is_at_most_30_lines_and_the_plugin_120() -> None:
    assert [named(p) for p in (ROOT / "locustfiles").glob("*.py") if lines(p) > MAX_LOCUSTFILE] == []
    assert lines(PACKAGE / "plugin.py") <= MAX_PLUGIN


# What the documents promise

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def known_options() -> set[str]:
    parser = get_empty_argument_parser(add_help=True, default_config_files=[])
    setup_parser_arguments(parser)
    actions = [*parser._actions, *agent.parser()._actions]
    locusts = {name for action in actions for name in action.option_strings}
    return locusts | {name for option in OPTIONS for name in option.flags}


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_a_documented_option_exists(document: Path) -> None:
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", document.read_text()))
    assert sorted(shown - known_options()) == []


def test_the_page_of_options_is_that_of_the_table() -> None:
    written = (ROOT / "docs" / "options.md").read_text()
    assert written == page.document(), "run: python -m triton_users.options.page"


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_what_a_document_links_to_is_there(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[\w-]+)?\)", document.read_text())
    broken = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert broken == []

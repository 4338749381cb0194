"""The event parser is the one of PyYAML, and importing PyYAML afterwards gives all of it."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_whole_package_works_after_the_lean_import() -> None:
    code = """
from havre.compose import libyaml
import sys; assert "yaml" not in sys.modules
import yaml
assert yaml.events is libyaml.events and yaml.nodes.ScalarNode and yaml.tokens and yaml.error.YAMLError
print(yaml.load("a: [1, yes]", yaml.CSafeLoader), yaml.safe_load("b: 2"))
print(yaml.dump({"c": 3}, Dumper=yaml.CSafeDumper).strip())
try:
    yaml.load("a: 'open", yaml.CSafeLoader)
except yaml.YAMLError as error:
    print(error.problem)
import yaml.events
"""
    assert run(code) == "{'a': [1, True]} {'b': 2}\nc: 3\nfound unexpected end of stream\n"


def test_a_package_imported_earlier_is_used_as_it_is() -> None:
    code = """
import yaml
from havre.compose import libyaml
assert libyaml.events is yaml.events and libyaml.Parser is yaml.cyaml.CParser
try:
    libyaml.Parser(b"a: \\xff").get_event(); p = libyaml.Parser(b"a: \\xff")
    while p.get_event(): pass
except libyaml.errors.YAMLError as error:
    print(error.position)
"""
    assert run(code) == "3\n"


def test_the_parser_in_python_serves_where_there_is_no_extension() -> None:
    code = """
import sys; sys.modules["yaml._yaml"] = None
from havre.compose import libyaml
print(libyaml.Parser.__module__)
from havre.compose.findings import Findings
from havre.compose.tree import Sources
from havre.compose.yamltext import parse_documents
sources = Sources()
print(parse_documents(b"a: {b: [1, yes]}", "f", sources, Findings(sources))[0].root)
"""
    assert run(code) == "yaml.loader\n{'a': {'b': [1, 'yes']}}\n"

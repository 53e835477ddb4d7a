"""The shape of the package: who may import whom, and what a quick command does not wait for."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import musicgen_cli
from musicgen_cli.cli import COMMANDS

PACKAGE = Path(musicgen_cli.__file__).parent
ORDER = [
    "errors", "signals", "score", "events", "smf", "midi", "words", "roll", "harmony", "representations", "corpus",
    "vocabulary", "likeness", "split", "metrics", "features", "comparison", "ranking", "copying", "pictures", "drawing",
    "roll_plot", "curves_plot", "histograms_plot", "piano", "sound", "soundfont", "page", "quiz_score", "quiz",
    "quiz_page", "temperature", "dice", "group", "device", "memory", "tonality", "hearing", "dataset", "material",
    "models.chord", "models.cell", "models.base", "models.recurrent", "models.next_step", "models.seq2seq",
    "models.blank", "models", "losses", "particles", "sampling", "training", "archive", "checkpoint", "player",
    "likelihood", "evaluation", "two_sample", "streams", "commands", "cli", "__main__",
]  # fmt: skip
NOT_A_COMMAND = {
    "commands.options",
    "commands.inputs",
    "commands.watch",
    "commands.prepare",
    "commands.going_on",
    "commands.against",
    "commands.tables",
    "commands.workers",
}


def module(path: Path) -> str:
    """The name of a file's module inside the package: `models.base`; "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def rank(name: str) -> int:
    return ORDER.index("commands" if name.startswith("commands.") else name)


def is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(tree: ast.AST) -> set[str]:
    """The modules of this package that a tree imports, inside functions too, but for those that only types need."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if is_for_types_only(node):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}".removeprefix("musicgen_cli.")
                found.add(f"musicgen_cli.{inner}" if inner in MODULES else str(node.module))
        found |= {f"musicgen_cli.{name}" for name in imports(node)}
    own = {name.removeprefix("musicgen_cli").removeprefix(".") for name in found if name.startswith("musicgen_cli")}
    return own - {""}


def test_imports_are_found_wherever_they_stand():
    source = """
import musicgen_cli.roll
from musicgen_cli import __version__, midi
from musicgen_cli.models import MODELS, base
from numpy import score
if TYPE_CHECKING:
    from musicgen_cli import cli
def function():
    if True:
        from musicgen_cli.score import Score
"""
    assert imports(ast.parse(source)) == {"roll", "midi", "models", "models.base", "score"}


def test_every_module_has_its_place():
    named = {name for name in MODULES if name and not name.startswith("commands")}
    assert named | {"commands"} == set(ORDER)


@pytest.mark.parametrize("name", [name for name in MODULES if name and not name.startswith("commands.")])
def test_a_module_imports_only_modules_above_it(name):
    below = {other for other in imports(ast.parse(MODULES[name].read_text("utf-8"))) if rank(other) >= rank(name)}
    assert not below


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("commands.")])
def test_a_command_imports_no_other_command(name):
    found = imports(ast.parse(MODULES[name].read_text("utf-8")))
    assert not {other for other in found if rank(other) > rank("commands")}
    assert {other for other in found if rank(other) == rank("commands")} <= NOT_A_COMMAND - {name}


HELP = """
import contextlib, io, json, sys
import musicgen_cli.cli as cli
for command in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        cli.command_line(command)([command, "--help"], prog_name="musicgen")
    assert "Example" in text.getvalue(), text.getvalue()
print(json.dumps(sorted(sys.modules)))
"""


def test_help_waits_for_no_heavy_import():
    commands = list(COMMANDS)
    done = subprocess.run([sys.executable, "-c", HELP, *commands], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert "musicgen_cli.commands.encode" in loaded
    assert not loaded & {"torch", "rich", "music21", "symusic", "matplotlib", "soundfile", "pydantic"}


def test_every_mistake_of_the_reference_has_a_test_that_names_it():
    """DESIGN section 8 lists eleven of them."""
    tests = "".join(path.read_text("utf-8") for path in sorted(Path(__file__).parent.glob("test_*.py")))
    assert set(map(int, re.findall(r"def test_.*# DESIGN 8\.(\d+)", tests))) == set(range(1, 12))

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import modelhub.cli.commands

FORBIDDEN = ("httpx", "rich.progress", "alembic", "sqlalchemy", "torch", "textual", "numpy")


def imported_by(*arguments: str) -> set[str]:
    """The modules that a run of the program has imported at its end."""
    script = (
        "import sys\n"
        "sys.argv[0] = 'modelhub'\n"
        "from modelhub.__main__ import main\n"
        "code = main()\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    return set(ended.stderr.split())


def test_the_version_costs_no_imports(home: Path) -> None:
    ours = {name for name in imported_by("--version") if name.startswith(("modelhub", "click"))}
    assert ours == {"modelhub", "modelhub.__main__"}


@pytest.mark.parametrize("arguments", [["--help"], ["config", "--help"], ["config", "show"]])
def test_light_commands_import_nothing_heavy(home: Path, arguments: list[str]) -> None:
    modules = imported_by(*arguments)
    assert [name for name in FORBIDDEN if name in modules] == []
    assert ("msgspec" in modules) == (arguments == ["config", "show"])


def test_no_command_module_imports_more_than_click_at_its_top() -> None:
    folder = Path(modelhub.cli.commands.__file__).parent
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    script = "import sys\n" + "".join(f"import modelhub.cli.commands.{name}\n" for name in names)
    script += "print('\\n'.join(sys.modules))"
    modules = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {name.partition(".")[0] for name in modules} & {
        *("httpx", "rich", "alembic", "sqlalchemy", "torch", "textual", "numpy", "msgspec"),
        *("keyring", "PIL", "blake3", "tenacity", "platformdirs"),
    }
    assert heavy == set()


def test_python_dash_m_runs_the_same_program() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "modelhub", "--version"], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "modelhub 0.1.0\n"

"""scripts/bootstrap on machines that lack something; the whole of it runs wherever `make test` does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = ("dirname", "cat", "cksum", "sh", "env")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a clone's scripts and locks, with nothing to install, and a PATH of almost nothing."""
    tree = tmp_path / "clone"
    shutil.copytree(ROOT / "scripts", tree / "scripts")
    (tree / "locks").mkdir()
    (tree / "locks" / "dev.txt").write_text("")
    (tree / "pyproject.toml").write_text("")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    return tree


def python(tree: Path, name: str, script: str) -> None:
    """Put a Python called ``name`` on the PATH."""
    file = tree.parent / "bin" / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def bootstrap(tree: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(tree.parent / "bin"), "HOME": "/nonexistent"}
    return subprocess.run([tree / "scripts/bootstrap"], capture_output=True, text=True, check=False, env=environment)


def test_no_python_is_one_clear_line(tree: Path) -> None:
    """Without any Python it says what to install, and nothing is made."""
    ended = bootstrap(tree)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "needs Python 3.12, 3.13 or 3.14" in ended.stderr
    assert not (tree / ".venv").exists()


def test_a_python_that_is_too_old_or_does_not_run_does_not_count(tree: Path) -> None:
    """A shim that fails, and an older Python, are as good as none."""
    python(tree, "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    python(tree, "python3", "exit 1")
    assert "needs Python 3.12" in bootstrap(tree).stderr


def test_a_python_without_venv_says_which_package(tree: Path) -> None:
    """Debian splits venv off: the line names the package."""
    script = 'case "$2" in *ensurepip*) exit 1;; *sys.executable*) echo "$0";;'
    python(tree, "python3", f'{script} *) exec {sys.executable} "$@";; esac')
    ended = bootstrap(tree)
    major, minor = sys.version_info[:2]
    assert ended.returncode == 2
    assert ended.stderr.endswith(f"apt-get install python{major}.{minor}-venv\n")
    assert ended.stderr.count("\n") == 1


def test_a_finished_venv_is_taken_at_once(tree: Path) -> None:
    """With the right stamp nothing is run, not even a Python; a changed lock makes work again."""
    inputs = "cat locks/dev.txt pyproject.toml scripts/build_venv.py | cksum"
    script = f'printf \'%s %s\' "$({inputs})" "$(pwd -P)"'
    stamp = subprocess.run(["sh", "-c", script], cwd=tree, capture_output=True, text=True, check=True).stdout
    (tree / ".venv/bin").mkdir(parents=True)
    (tree / ".venv/bin/python").symlink_to(sys.executable)
    (tree / ".venv/.hoopguard-stamp").write_text(stamp)
    assert bootstrap(tree).returncode == 0
    (tree / "locks/dev.txt").write_text("# changed\n")
    assert bootstrap(tree).returncode == 2


def build(tree: Path, stamp: str) -> subprocess.Popen[str]:
    """Run the second half with a pip that only writes down that it was called."""
    script = (
        "import runpy, sys, venv\n"
        "from pathlib import Path\n"
        "def create(folder, **_):\n"
        "    (folder / 'bin').mkdir()\n"
        "    pip = folder / 'bin' / 'python'\n"
        f'    pip.write_text(\'#!/bin/sh\\n[ "$1" = -c ] || echo "$@" >> {tree}/calls\\n\')\n'
        "    pip.chmod(0o755)\n"
        "venv.create = create\n"
        f"sys.argv = ['build_venv.py', {stamp!r}]\n"
        "runpy.run_path('scripts/build_venv.py', run_name='__main__')\n"
    )
    return subprocess.Popen([sys.executable, "-c", script], cwd=tree, text=True, stdout=subprocess.PIPE, env=os.environ)


def finish(*processes: subprocess.Popen[str]) -> list[str]:
    """Wait for builds to end well; return what they printed."""
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return printed


def test_two_at_the_same_time_build_once(tree: Path) -> None:
    """`make -j2 demo test` installs once: the second waits and finds it done."""
    finish(build(tree, "1 2 /here"), build(tree, "1 2 /here"))
    calls = (tree / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert "--require-hashes" in calls[0]
    assert (tree / ".venv/.hoopguard-stamp").read_text() == "1 2 /here"


def test_an_interrupted_build_is_begun_again(tree: Path) -> None:
    """A folder left by an interrupted build is thrown away, a whole one of the same place is brought up to date."""
    finish(build(tree, "1 2 /here"))
    (tree / ".venv/kept").touch()
    assert finish(build(tree, "3 4 /here")) == [""]
    assert (tree / ".venv/kept").exists()
    (tree / ".venv/.hoopguard-building").touch()
    assert "making .venv" in finish(build(tree, "5 6 /here"))[0]
    assert not (tree / ".venv/kept").exists()


def test_a_moved_tree_is_built_anew(tree: Path) -> None:
    """Scripts in a venv name its place: one that was made elsewhere is not used."""
    finish(build(tree, "1 2 /here"))
    assert "making .venv" in finish(build(tree, "1 2 /there and elsewhere"))[0]

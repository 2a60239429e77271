"""Loading escalation policies: the shipped ones, further files or folders, or one document at hand.

Strict like the loading of rules: an unknown key, channel or role is refused with file, line and the nearest
known one; so is a timetable that nobody could answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, get_args

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails

from rules.document import Document, Problem, RuleFileError, nearest, parse_document, read_document
from rules.finding import Finding
from rules.response.policy import CONFIRMING, TARGETS, Policy, Step, Target, Timetable
from rules.rule import Kind, Priority, Rule
from rules.schema import TextFile
from rules.shapes import Strict, fail

__all__ = [
    "CHANNELS",
    "DUTY_ROLES",
    "POLICIES",
    "TIMETABLES",
    "PolicyError",
    "check_escalations",
    "load_policies",
    "load_policy",
    "policy_of",
    "target_of",
    "target_text",
    "to_document",
]

POLICIES: Final = Path(__file__).parent.parent / "policies"
"""The policies that are shipped, one file each."""
CHANNELS: Final = ("in_app", "push", "sms", "voice", "email", "webhook", "apprise")
DUTY_ROLES: Final = ("nurse", "charge", "doctor", "engineer")
"""What somebody can be on duty as; ``charge`` is who leads the shift."""
TIMETABLES: Final = tuple(f"{kind}.{priority}" for kind in get_args(Kind) for priority in get_args(Priority))
_SYSTEMS: Final = frozenset({"webhook", "apprise"})
"""Channels that reach other systems and no person of the directory."""
_ENDPOINTS: Final = _SYSTEMS | {"sms", "email"}
"""Channels for which the settings can name endpoints."""
_LONGEST_S: Final = 86_400


class PolicyError(RuleFileError):
    """An escalation policy is refused: ``problems`` says what, in which file and line, at which key."""


def target_of(text: str) -> Target:
    """The target that a text means: ``wall``, ``on_duty:nurse``, ``user:usr_1``. Raises ValueError."""
    kind, colon, name = text.partition(":")
    if kind not in TARGETS:
        msg = f"unknown target {text!r} ({nearest(kind, [_example(k) for k in TARGETS])})"
        raise ValueError(msg)
    if kind == "on_duty":
        if name not in DUTY_ROLES:
            msg = f"{text!r} names no role: on_duty:ROLE ({nearest(name, DUTY_ROLES)})"
            raise ValueError(msg)
        return Target("on_duty", role=name)
    if kind == "user":
        if not name:
            msg = "names nobody: user:ID"
            raise ValueError(msg)
        return Target("user", user=name)
    if colon:
        msg = f"{text!r}: {kind} takes no name"
        raise ValueError(msg)
    return Target(kind)


def target_text(target: Target) -> str:
    """A target as documents have it; ``target_of`` is the way back."""
    name = target.role or target.user
    return f"{target.kind}:{name}" if name else target.kind


def _example(kind: str) -> str:
    return {"on_duty": "on_duty:ROLE", "user": "user:ID"}.get(kind, kind)


# -- what a document may say


def _target(value: Any) -> Any:
    if not isinstance(value, str):
        raise fail((), "must be a text such as wall, assigned or on_duty:nurse")
    try:
        target_of(value)
    except ValueError as error:
        raise fail((), str(error)) from None
    return value


def _channel(value: Any) -> Any:
    if value not in CHANNELS:
        raise fail((), f"unknown channel {value!r} ({nearest(str(value), CHANNELS)})")
    return value


class StepFile(Strict):
    """So long after the alarm, these are told by these channels."""

    after_s: Annotated[float, Field(ge=0, le=_LONGEST_S, allow_inf_nan=False)]
    targets: Annotated[list[Annotated[str, BeforeValidator(_target)]], Field(min_length=1, max_length=12)]
    channels: Annotated[list[Annotated[str, BeforeValidator(_channel)]], Field(min_length=1)]


class TimetableFile(Strict):
    """The steps in order, and how it goes on after the last."""

    steps: Annotated[list[StepFile], Field(min_length=1, max_length=20)]
    repeat_s: Annotated[float, Field(ge=0, le=_LONGEST_S, allow_inf_nan=False)] = 0.0
    remind_s: Annotated[float, Field(ge=0, le=_LONGEST_S, allow_inf_nan=False)] = 0.0
    redirect_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 60.0


class PolicyFile(Strict):
    """A whole policy file."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    version: Annotated[int, Field(ge=1)]
    title: TextFile
    timetables: Annotated[dict[str, TimetableFile], Field(min_length=1)]

    def policy(self) -> Policy:
        """The policy that the document describes."""
        return Policy(
            self.id,
            self.version,
            self.title.model_dump(),
            {name: _timetable(table) for name, table in self.timetables.items()},
        )


def _timetable(table: TimetableFile) -> Timetable:
    steps = tuple(
        Step(float(s.after_s), tuple(map(target_of, s.targets)), tuple(s.channels)) for s in table.steps
    )
    return Timetable(steps, float(table.repeat_s), float(table.remind_s), float(table.redirect_s))


# -- whether it makes sense


def _findings(file: PolicyFile) -> Iterator[Finding]:
    for name, table in file.timetables.items():
        if name not in TIMETABLES:
            message = f"unknown timetable {name!r} ({nearest(name, TIMETABLES)})"
            yield Finding(("timetables", name), message)
            continue
        for finding in _table(name, table):
            yield Finding(("timetables", name, *finding.where), finding.message)


def _table(name: str, table: TimetableFile) -> Iterator[Finding]:
    for key in ("repeat_s", "remind_s"):
        if 0 < getattr(table, key) < _SHORTEST_S:
            yield Finding((key,), f"is shorter than {_SHORTEST_S} s (0: not)")
    before = -1.0
    for i, step in enumerate(table.steps):
        where = "steps", i
        if i == 0 and step.after_s != 0:
            yield Finding((*where, "after_s"), "the first step is taken at once: must be 0")
        elif step.after_s <= before:
            yield Finding((*where, "after_s"), f"must come after the step before ({before:g} s)")
        before = step.after_s
        for finding in _step(step):
            yield Finding((*where, *finding.where), finding.message)
    yield from _answerable(name, table)


_SHORTEST_S: Final = 10
"""Nobody is told again sooner than this."""


def _step(step: StepFile) -> Iterator[Finding]:
    for key in ("targets", "channels"):
        items = getattr(step, key)
        if len(set(items)) < len(items):
            yield Finding((key,), "names something twice")
    targets, channels = set(step.targets), set(step.channels)
    if "wall" in targets and "in_app" not in channels:
        yield Finding(("targets", step.targets.index("wall")), "walls are told by in_app, which is not here")
    if "endpoints" in targets and not channels & _ENDPOINTS:
        yield Finding(
            ("targets", step.targets.index("endpoints")),
            f"endpoints are told by {', '.join(c for c in CHANNELS if c in _ENDPOINTS)}; none is here",
        )
    if "endpoints" not in targets:
        for channel in sorted(channels & _SYSTEMS):
            where = "channels", step.channels.index(channel)
            yield Finding(where, f"{channel} reaches endpoints, which are not among the targets")


def _answerable(name: str, table: TimetableFile) -> Iterator[Finding]:
    """SMS, e-mail and the like never are the only measure: it is not known whether they were received."""
    if not any(CONFIRMING & set(step.channels) and _somebody(step) for step in table.steps):
        yield Finding(
            ("steps",),
            "rests on channels without confirmation only (in_app or voice must tell somebody, too)",
        )
    elif "in_app" not in table.steps[0].channels or not _somebody(table.steps[0]):
        yield Finding(("steps", 0, "channels"), "the first step must tell a wall or people by in_app")
    if name.endswith(".high") and not any(_somebody(step) - {"wall"} for step in table.steps):
        yield Finding(("steps",), "an alarm of high priority must be told to people, not to walls only")


def _somebody(step: StepFile) -> set[str]:
    return set(step.targets) - {"endpoints"}


# -- loading


def load_policies(*extra: Path) -> dict[str, Policy]:
    """The shipped policies and those of ``extra`` files and folders, by id.

    One of ``extra`` takes the place of a shipped one of the same id; two of one id are refused. Raises
    PolicyError with all problems of all files.
    """
    shipped, problems = _read_all([POLICIES])
    own, more = _read_all(extra)
    if problems or more:
        raise PolicyError([*problems, *more])
    return dict(sorted({**shipped, **own}.items()))


def policy_of(document: Mapping[str, Any], *, where: str = "") -> Policy:
    """The policy that plain data describes; ``where`` stands for the file in errors. Raises PolicyError."""
    return _read(Document(where or "policy", dict(document) if isinstance(document, Mapping) else document))


def load_policy(text: str | bytes, name: str) -> Policy:
    """One policy from a YAML document at hand; ``name`` stands for the file in errors. Raises PolicyError."""
    try:
        return _read(parse_document(text.encode() if isinstance(text, str) else text, name))
    except PolicyError:
        raise
    except RuleFileError as error:
        raise PolicyError(error.problems) from error


def to_document(policy: Policy) -> dict[str, Any]:
    """A policy as plain data, fit for JSON and YAML; ``policy_of`` is the way back."""
    tables = {
        name: {
            "steps": [
                {
                    "after_s": step.after_s,
                    "targets": [target_text(target) for target in step.targets],
                    "channels": list(step.channels),
                }
                for step in table.steps
            ],
            "repeat_s": table.repeat_s,
            "remind_s": table.remind_s,
            "redirect_s": table.redirect_s,
        }
        for name in TIMETABLES
        if (table := policy.timetables.get(name)) is not None
    }
    return {
        "id": policy.id,
        "version": policy.version,
        "title": dict(policy.title),
        "timetables": tables,
    }


def check_escalations(rules: Iterable[Rule], policies: Mapping[str, Policy]) -> tuple[str, ...]:
    """A sentence for each rule whose escalation names no policy, or one without a timetable for it.

    Such alarms are told on the walls only, which is never what a rule means.
    """
    found = []
    for rule in rules:
        policy, table = policies.get(rule.escalation), f"{rule.kind}.{rule.priority}"
        named = f"rule {rule.id!r}: escalation: "
        if policy is None:
            hint = nearest(rule.escalation, policies) if policies else "there is none"
            found.append(f"{named}unknown policy {rule.escalation!r} ({hint})")
        elif table not in policy.timetables:
            found.append(f"{named}policy {policy.id!r} has no timetable {table}")
    return tuple(found)


def _read_all(paths: Iterable[Path]) -> tuple[dict[str, Policy], list[Problem]]:
    found: dict[str, tuple[Policy, str]] = {}
    problems: list[Problem] = []
    for file in _files(paths):
        try:
            document = read_document(file)
            policy = _read(document)
        except RuleFileError as error:
            problems += error.problems
            continue
        if policy.id in found:
            message = f"policy {policy.id!r} is already defined in {found[policy.id][1]}"
            problems.append(document.problem(("id",), message))
        else:
            found[policy.id] = policy, document.file
    return {name: policy for name, (policy, _) in found.items()}, problems


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            files = sorted(f for f in path.iterdir() if f.suffix in {".yaml", ".yml"})
            if not files:
                raise PolicyError([Problem(str(path), None, "is a folder without any .yaml file")])
            yield from files
        else:
            yield path


def _read(document: Document) -> Policy:
    try:
        content = PolicyFile.model_validate(document.data)
    except ValidationError as error:
        found = [_finding(e) for e in error.errors(include_url=False, include_input=False)]
    else:
        found = list(_findings(content))
        if not found:
            return content.policy()
    problems = [_problem(document, finding) for finding in found]
    raise PolicyError(sorted(problems, key=lambda p: p.line or 0))


def _finding(error: ErrorDetails) -> Finding:
    where = (*error["loc"], *error.get("ctx", {}).get("where", ()))
    return Finding(where, "is missing" if error["type"] == "missing" else error["msg"])


def _problem(document: Document, finding: Finding) -> Problem:
    name = ".".join(map(str, finding.where))
    message = f"{name}: {finding.message}" if name else finding.message
    if not document.lines:
        return Problem(document.file, None, message)
    return document.problem(finding.where, message)

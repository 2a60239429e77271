"""Whether the parts of a rule file fit each other: it must be able to come and to go, whatever is set.

Each finding is a place in the file and a sentence; ``findings`` gives all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final

from hearthward.core.codes import INTERNAL, METRICS, OF_GATEWAYS
from rules.checks_said import said
from rules.conditions import DETECTOR, HEARTBEAT, RISK, Number
from rules.document import Where, nearest
from rules.finding import Finding, is_coded, known_metrics, unknown, value_range
from rules.models.deterioration import shipped
from rules.news2 import METRICS_OF
from rules.schema import RuleFile
from rules.shapes import (
    PARAMETER,
    CountFile,
    DetectorFile,
    DeviationFile,
    FallFile,
    FlagFile,
    LimitFile,
    MissingFile,
    NodeFile,
    NotFile,
    RepeatFile,
    RiseFile,
    ScoreFile,
    UnusualFile,
    place,
    walk,
)
from rules.signals import breaches

__all__ = ["findings"]

_HIGHEST_SCORE: Final = {"news2": 20, "news2_three": 3}
_NEVER_PATIENTS: Final = {
    "gateway": (HEARTBEAT, "battery_level", *sorted(OF_GATEWAYS)),
    "component": (HEARTBEAT, *sorted(INTERNAL - OF_GATEWAYS)),
}


def findings(file: RuleFile) -> list[Finding]:
    """Everything in the file that does not fit."""
    nodes = list(walk(file.condition, ("condition",)))
    found = [*_subject(file), *_inputs(file), *_parameters(file, nodes)]
    for where, node in nodes:
        found += _node(file, where, node)
    found += _smoothing(file, nodes)
    found += _learned(file, nodes)
    found += _raises(file, nodes)
    found += said(file, [node for _, node in nodes])
    return found or list(_unused(file, nodes))


# -- signals


def _subject(file: RuleFile) -> Iterator[Finding]:
    if len(set(file.audience)) < len(file.audience):
        yield Finding(("audience",), "names somebody twice")
    if file.subject == "patient":
        return
    if file.kind == "physiological":
        yield Finding(("subject",), f"a {file.subject} has no physiological condition: kind is technical")
    if file.setting != "any":
        yield Finding(("setting",), f"only patients are in a setting, a {file.subject} is not")
    if file.adults:
        yield Finding(("adults",), f"only patients have an age, a {file.subject} has none")


def _learned(file: RuleFile, nodes: list[tuple[Where, NodeFile]]) -> Iterator[Finding]:
    """What a model has learned is shown beside the hard limits, and is no reason for the loudest alarm."""
    for where, node in nodes:
        if not isinstance(node, DetectorFile) or node.calibration is None:
            continue
        if node.signal != RISK:
            yield Finding((*where, "calibration"), f"only {RISK} has one")
        elif file.smoothing is not None:
            yield Finding((*where, "calibration"), "a recalibrated risk is not smoothed")
        elif node.calibration.training != shipped().version:
            text = f"the model shipped is of training {shipped().version}: recalibrate it for that"
            yield Finding((*where, "calibration", "training"), text)
    if file.priority == "high" and RISK in file.inputs:
        yield Finding(("priority",), "a learned risk may be of medium priority at most")
    if not any(isinstance(n, UnusualFile) for _, n in nodes):
        return
    if file.priority == "high":
        yield Finding(("priority",), "what is unusual may be of medium priority at most")
    if file.delay_s:
        yield Finding(("delay_s",), "is 0 where the unusual is asked for: it is news but once")


def _raises(file: RuleFile, nodes: list[tuple[Where, NodeFile]]) -> Iterator[Finding]:
    """Two stages of one condition of a patient are one alarm; ``rules.stages`` looks at the other rule."""
    if file.raises is None:
        return
    where = ("raises",)
    if file.raises == file.id:
        yield Finding(where, "a rule cannot raise its own alarm")
    if file.kind != "physiological" or file.subject != "patient":
        yield Finding(where, "only a patient's physiological condition has graver stages")
    if any(isinstance(node, RepeatFile) for _, node in nodes):
        yield Finding(where, "what asks for a second measurement has an alarm of its own")


def _inputs(file: RuleFile) -> Iterator[Finding]:
    for signal in file.inputs:
        where = "inputs", signal
        if signal == HEARTBEAT:
            if file.subject == "patient":
                yield Finding(where, "devices, gateways and components have a heartbeat, a patient has none")
        elif value_range(signal) is None:
            known = [*known_metrics(), HEARTBEAT, f"{DETECTOR}NAME"]
            yield Finding(where, unknown(signal, known))
        elif (
            signal in INTERNAL and file.subject not in _NEVER_PATIENTS
        ) or signal not in _NEVER_PATIENTS.get(file.subject, (signal,)):
            yield Finding(where, f"a {file.subject} has no {signal}")


def _unused(file: RuleFile, nodes: list[tuple[Where, NodeFile]]) -> Iterator[Finding]:
    """What nothing refers to; told when all else is well, as a misspelt name would make two findings."""
    named = {number for _, node in nodes for _, number in _numbers(node)}
    for name in file.parameters.keys() - named:
        yield Finding(("parameters", name), "is not used by the condition")
    if not any(isinstance(node, FlagFile) and node.metric is None for _, node in nodes):
        for signal in file.inputs.keys() - _used(nodes):
            yield Finding(("inputs", signal), "is not used by the condition")


def _used(nodes: list[tuple[Where, NodeFile]]) -> set[str]:
    used = set()
    for _, node in nodes:
        match node:
            case ScoreFile():
                used |= {metric for metrics in METRICS_OF.values() for metric in metrics}
            case CountFile():
                used.add(node.count.of.signal)
            case FlagFile(metric=metric) if metric is not None:
                used.add(metric)
            case _ if hasattr(node, "signal"):
                used.add(node.signal)
    return used


# -- parameters


def _numbers(node: NodeFile) -> Iterator[tuple[str, Number]]:
    """The numbers of one node that may name a parameter, by key."""
    if isinstance(node, CountFile):
        node = node.count.of
    for key in ("value", "hysteresis", "by", "for_s", "clear_below"):
        number = getattr(node, key, None)
        if number is not None:
            yield key, place(getattr(node, "signal", ""), number)


def _below(node: NodeFile, key: str) -> Where:
    return ("count", "of", key) if isinstance(node, CountFile) else (key,)


def _parameters(file: RuleFile, nodes: list[tuple[Where, NodeFile]]) -> Iterator[Finding]:
    for name in file.parameters:
        yield from _declared(file, name)
    used: dict[str, tuple[NodeFile, Where]] = {}
    for where, node in nodes:
        for key, number in _numbers(node):
            if isinstance(number, str):
                used.setdefault(number, (node, (*where, *_below(node, key))))
    for name, (node, place_) in used.items():
        if name not in file.parameters:
            yield _unknown(file, node, name, place_)


def _declared(file: RuleFile, name: str) -> Iterator[Finding]:
    parameter = file.parameters[name]
    if not PARAMETER.match(name):
        yield Finding(
            ("parameters", name), f"{name!r} is no name of a parameter: small letters, digits and _"
        )
    elif any(name in row.codes for row in METRICS.values()):
        yield Finding(("parameters", name), f"{name!r} is a code, a parameter needs another name")
    if parameter.low > parameter.high:
        yield Finding(("parameters", name, "low"), "is above high")
    elif not parameter.low <= parameter.value <= parameter.high:
        yield Finding(("parameters", name, "value"), "lies outside low..high")


def _unknown(file: RuleFile, node: NodeFile, number: str, where: Where) -> Finding:
    signal = getattr(node, "signal", "")
    known = [*file.parameters, *(METRICS[signal].codes if is_coded(signal) else ())]
    hint = nearest(number, known) if known else "the rule declares none"
    return Finding(where, f"unknown parameter {number!r} ({hint})")


def _cases(file: RuleFile, node: NodeFile) -> Iterator[tuple[str, dict[str, float]]]:
    """The node's numbers as they stand, and with every parameter at its bounds; where, in words."""
    numbers = dict(_numbers(node))
    names = sorted({n for n in numbers.values() if isinstance(n, str)})
    if any(name not in file.parameters for name in names):
        return
    choices = [
        dict.fromkeys((file.parameters[n].value, file.parameters[n].low, file.parameters[n].high))
        for n in names
    ]
    for chosen in product(*choices):
        at = dict(zip(names, chosen, strict=True))
        words = ", ".join(f"{name} {value:g}" for name, value in at.items())
        yield (
            f" (with {words})" if words else "",
            {key: at[n] if isinstance(n, str) else float(n) for key, n in numbers.items()},
        )


# -- nodes


def _node(file: RuleFile, where: Where, node: NodeFile) -> Iterator[Finding]:
    if isinstance(node, (LimitFile, DetectorFile)):
        yield from _limit(file, where, node)
    elif isinstance(node, (RiseFile, FallFile, DeviationFile)):
        yield from _change(file, where, node)
    elif isinstance(node, UnusualFile):
        yield from _unusual(file, where, node)
    elif isinstance(node, ScoreFile):
        yield from _score(file, where, node)
    elif isinstance(node, MissingFile):
        yield from _input(file, (*where, "missing"), node.missing)
        yield from _positive(file, where, node, "for_s")
    elif isinstance(node, FlagFile) and node.metric is not None:
        yield from _input(file, (*where, "metric"), node.metric)
    elif isinstance(node, CountFile):
        inner = *where, "count"
        yield from _limit(file, (*inner, "of"), node.count.of)
        yield from _window(file, (*inner, "within_s"), node.count.of.signal, node.count.within_s)
    elif isinstance(node, RepeatFile):
        yield from _repeat(file, where, node)


def _input(file: RuleFile, where: Where, signal: str) -> Iterator[Finding]:
    if signal in file.inputs:
        return
    if signal != HEARTBEAT and value_range(signal) is None:
        yield Finding(where, unknown(signal, known_metrics()))
    else:
        yield Finding(where, f"{signal!r} is not among the rule's inputs")


def _positive(file: RuleFile, where: Where, node: NodeFile, key: str) -> Iterator[Finding]:
    for words, numbers in _cases(file, node):
        if numbers[key] <= 0:
            yield Finding((*where, key), f"must be above 0{words}")
            return


def _window(file: RuleFile, where: Where, signal: str, window: float) -> Iterator[Finding]:
    entry = file.inputs.get(signal)
    if entry is not None and window > entry.max_age_s:
        yield Finding(where, f"is longer than a value of {signal} counts ({entry.max_age_s:g} s)")


def _limit(file: RuleFile, where: Where, node: LimitFile | DetectorFile) -> Iterator[Finding]:
    signal = node.signal
    key = "detector" if isinstance(node, DetectorFile) else "metric"
    yield from _input(file, (*where, key), signal)
    if signal == HEARTBEAT:
        yield Finding((*where, key), "a heartbeat has no value; it can only be missing")
    bounds = value_range(signal)
    if bounds is None:
        return
    for words, numbers in _cases(file, node):
        message = _comes_and_goes(node, bounds, numbers)
        if message is not None:
            yield Finding((*where, message[0]), f"{signal} {message[1]}{words}")
            return


def _comes_and_goes(
    node: LimitFile | DetectorFile, bounds: tuple[float, float], numbers: dict[str, float]
) -> tuple[str, str] | None:
    low, high = bounds
    value, back = numbers["value"], numbers["hysteresis"]
    falling = node.op in {"below", "at_or_below"}
    safe, wrong = (high, low) if falling else (low, high)
    lies = f"lies within {low:g}..{high:g}"
    if back < 0:
        return "hysteresis", "needs a hysteresis greater than or equal to 0"
    if not breaches(node.op, value, wrong):
        return "value", f"{lies}: it never breaches"
    if breaches(node.op, value, safe) or (safe < value + back if falling else safe > value - back):
        return ("hysteresis" if back else "value"), f"{lies}: it never clears"
    return None


def _change(file: RuleFile, where: Where, node: RiseFile | FallFile | DeviationFile) -> Iterator[Finding]:
    signal = node.signal
    key = next(name for name in ("rise", "fall", "deviates") if hasattr(node, name))
    yield from _input(file, (*where, key), signal)
    bounds = value_range(signal)
    if bounds is None:
        return
    if is_coded(signal):
        yield Finding((*where, key), f"{signal} is coded: only a limit fits it")
        return
    for words, numbers in _cases(file, node):
        if numbers["by"] <= 0:
            yield Finding((*where, "by"), f"must be above 0{words}")
        elif numbers["by"] > bounds[1] - bounds[0]:
            reach = f"{bounds[0]:g}..{bounds[1]:g}"
            yield Finding((*where, "by"), f"{signal} lies within {reach}: it never breaches{words}")
        elif not 0 <= numbers["hysteresis"] < numbers["by"]:
            yield Finding((*where, "hysteresis"), f"must be 0 or more and less than by{words}")
        else:
            continue
        break
    if not isinstance(node, DeviationFile):
        yield from _window(file, (*where, "within_s"), signal, node.within_s)


def _unusual(file: RuleFile, where: Where, node: UnusualFile) -> Iterator[Finding]:
    yield from _input(file, (*where, "unusual"), node.signal)
    if is_coded(node.signal):
        yield Finding((*where, "unusual"), f"{node.signal} is coded: only a limit fits it")
    for words, numbers in _cases(file, node):
        if not 0 < numbers["value"] < 1:
            yield Finding((*where, "value"), f"what is unusual lies within 0..1, 1 is never reached{words}")
        elif not 0 < numbers["clear_below"] <= numbers["value"]:
            yield Finding((*where, "clear_below"), f"must lie within 0..value, above 0{words}")
        else:
            continue
        break
    yield from _window(file, (*where, "pace_s"), node.signal, node.pace_s)


def _score(file: RuleFile, where: Where, node: ScoreFile) -> Iterator[Finding]:
    for metric in sorted(m for metrics in METRICS_OF.values() for m in metrics):
        if metric not in file.inputs:
            yield Finding((*where, "score"), f"{metric!r} is part of {node.score} and not among the inputs")
    if not file.adults:
        yield Finding((*where, "score"), f"{node.score} is for adults who are not pregnant: adults is true")
    highest = _HIGHEST_SCORE[node.score]
    for words, numbers in _cases(file, node):
        if not 1 <= numbers["value"] <= highest:
            yield Finding((*where, "value"), f"{node.score} alarms lie within 1..{highest}{words}")
        elif not 1 <= numbers["clear_below"] <= numbers["value"]:
            yield Finding((*where, "clear_below"), f"must lie within 1..value{words}")
        else:
            continue
        break


def _repeat(file: RuleFile, where: Where, node: RepeatFile) -> Iterator[Finding]:
    inner = *where, "repeat"
    if where != ("condition",):
        yield Finding(inner, "a repeated measurement stands at the top of a condition only")
        return
    what = node.repeat
    if what.after_s >= what.timeout_s:
        yield Finding((*inner, "timeout_s"), "is not longer than after_s")
    if file.delay_s:
        yield Finding(("delay_s",), "is 0 where a measurement is repeated: that is the delay")
    for place_, part in walk(what.of, (*inner, "of")):
        if isinstance(part, (MissingFile, FlagFile, NotFile)):
            yield Finding(place_, "only what is measured can be measured again")
        for signal in _used([(place_, part)]):
            yield from _window(file, (*inner, "timeout_s"), signal, what.timeout_s)


def _smoothing(file: RuleFile, nodes: list[tuple[Where, NodeFile]]) -> Iterator[Finding]:
    if file.smoothing is None:
        return
    where = ("smoothing",)
    limits = [node for _, node in nodes if isinstance(node, (LimitFile, DetectorFile))]
    if not limits:
        yield Finding(where, "there is no plain limit to smooth")
    if isinstance(file.condition, RepeatFile):
        yield Finding(where, "a repeated measurement is not smoothed")
    for node in limits:
        if is_coded(node.signal):
            yield Finding(where, f"{node.signal} is coded: it has no mean")
        yield from _window(file, (*where, "window_s"), node.signal, file.smoothing.window_s)

"""Reductions on their way through files, and checkpoints, from which they go on as if nothing had happened.

A checkpoint is one line, the checksum of the rest, and JSON: what was asked for, how far each file is read and what it
was like, and the state of each group. It is replaced as a whole, so that at any moment there is an old or a new one.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from . import _sigbus
from ._files.inputs import Chunk, CommandError, Input, failures, read
from ._files.outputs import replaceable, replacing

FIRST_LINE = b"csmooth checkpoint 1\n"
INTERVAL = 5.0  # seconds from one to the next

Accumulator = Any  # of csmooth.stream


class Run:
    """A reduction of several files, one after the other: a state for each group, and how far it is."""

    def __init__(self, inputs: Sequence[Input], empty: Accumulator, rows: bool, grouped: bool):
        self.inputs, self.empty, self.rows, self.grouped = inputs, empty, rows, grouped
        self.states: dict[str, Accumulator] = {} if grouped else {"": empty.copy()}
        self.positions: list[int] = [source.start for source in inputs]
        self.at = 0  # the file that is read

    def steps(self) -> Iterator[None]:
        """Reduces what is left, chunk by chunk; after each the states are those of the positions."""
        while self.at < len(self.inputs):
            source = self.inputs[self.at]
            for chunk in read(source, self.positions[self.at], self.rows):
                with failures(source.name, ""):
                    self.add(chunk)
                if _sigbus.lost():
                    source.check()
                self.positions[self.at] = chunk.position
                yield
            self.at += 1

    def add(self, chunk: Chunk) -> None:
        """Updates the states; new groups come after those known, so that their order is that of the rows."""
        if chunk.groups is None:
            self.states[""].update(chunk.values)
            return
        codes: dict[str, int] = {}
        rows = np.fromiter((codes.setdefault(group, len(codes)) for group in chunk.groups), np.intp, len(chunk.groups))
        order = np.argsort(rows, kind="stable")
        parts = np.split(chunk.values[order], np.cumsum(np.bincount(rows, minlength=len(codes)))[:-1])
        for group, part in zip(codes, parts, strict=True):
            if group not in self.states:
                self.states[group] = self.empty.copy()
            self.states[group].update(part)

    def bytes(self) -> int:
        """How much is read."""
        return sum(source.bytes(position) for source, position in zip(self.inputs, self.positions, strict=True))


def saving(run: Run, name: str, command: Mapping[str, Any]) -> Iterator[None]:
    """The steps of a run, which from now on begins where the checkpoint `name` ends, if there is one; saves after some.

    `command` is what must be the same for that. A signal to end becomes KeyboardInterrupt, between two steps.
    """
    for source in run.inputs:
        if source.identity is None:
            raise CommandError(f"{source.name}: --checkpoint needs files, in which reading can begin anywhere")
    # As text, in which NaN equals NaN, and tuples are lists.
    wanted = {key: json.dumps(value, default=str) for key, value in command.items()}
    with failures(name):
        target = replaceable(name)
        if target.exists():
            restore(run, name, wanted, target.read_bytes())
    return saved_steps(run, name, wanted)


def saved_steps(run: Run, name: str, wanted: Mapping[str, str]) -> Iterator[None]:
    """The steps of a run, of which the last is always saved, and so is that which a signal comes in."""
    with interruptions() as stopped:
        due = time.monotonic() + INTERVAL
        for _ in run.steps():
            if stopped() or time.monotonic() >= due:
                save(run, name, wanted)
                due = time.monotonic() + INTERVAL
            if stopped():
                raise KeyboardInterrupt
            yield
    save(run, name, wanted)


def save(run: Run, name: str, wanted: Mapping[str, str]) -> None:
    """Replaces the checkpoint by that of now."""
    import base64
    import hashlib

    inputs = [
        {"name": source.name, "identity": source.identity, "position": position}
        for source, position in zip(run.inputs, run.positions, strict=True)
    ]
    states = {group: base64.b64encode(state.to_bytes()).decode() for group, state in run.states.items()}
    text = json.dumps({"command": wanted, "inputs": inputs, "at": run.at, "states": states}).encode()
    with failures(name), replacing(name, f".{Path(name).name}.csmooth-tmp") as file:
        file.write(FIRST_LINE + hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


def restore(run: Run, name: str, wanted: Mapping[str, str], contents: bytes) -> None:
    """Takes the states and positions from a checkpoint; CommandError if they are not of this run."""
    import base64
    import hashlib

    if not contents.startswith(FIRST_LINE):
        raise CommandError(f"{name}: no checkpoint, or not of this version; nothing is changed")
    checksum, _, text = contents.removeprefix(FIRST_LINE).partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != checksum:
        raise CommandError(f"{name}: a damaged checkpoint; delete it to begin again")
    saved = json.loads(text)
    others = [key for key in wanted.keys() | saved["command"].keys() if wanted.get(key) != saved["command"].get(key)]
    if others:
        raise CommandError(f"{name}: a checkpoint of another command; different are {', '.join(sorted(others))}")
    if [entry["name"] for entry in saved["inputs"]] != [source.name for source in run.inputs]:
        raise CommandError(f"{name}: a checkpoint of other files: {', '.join(e['name'] for e in saved['inputs'])}")
    for entry, source in zip(saved["inputs"], run.inputs, strict=True):
        if entry["identity"] != list(source.identity or ()):
            raise CommandError(f"{name}: a checkpoint of {source.name} as it was before it changed")
    run.positions = [entry["position"] for entry in saved["inputs"]]
    run.at = saved["at"]
    run.states = {group: run.empty.from_bytes(base64.b64decode(state)) for group, state in saved["states"].items()}


@contextmanager
def interruptions() -> Iterator[Callable[[], bool]]:
    """Whether somebody wants the process to end; the second time, it ends at once."""
    seen = False
    before: dict[int, Any] = {}

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen = True
        for known, old in before.items():
            signal.signal(known, old)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, handler)
    try:
        yield lambda: seen
    finally:
        for known, old in before.items():
            signal.signal(known, old)

"""Records of the calls of all submodules of a model."""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.extend import core

from gequi_jax.testing._compiled import UNTRACEABLE


@dataclasses.dataclass
class Call:
    """One call of one submodule.

    Attributes:
      path: where the module is in the model.
      module: the module.
      inputs: the arrays among its arguments.
      output: its output.
      position: its place in the order in which calls begin.
    """

    path: str
    module: nnx.Module
    inputs: list[jax.Array]
    output: jax.Array
    position: int


def recorded_runs(model: nnx.Module, inputs: list[jax.Array]) -> list[list[Call]]:
    """The calls for each input, from one run over all of them as one batch if their shapes allow it."""
    if len({x.shape for x in inputs}) > 1:
        return [recorded(model, x) for x in inputs]
    total = len(inputs) * inputs[0].shape[0]

    def part(index: int, array: jax.Array) -> jax.Array:
        # Arrays without the batch on their first axis do not depend on the input.
        return jnp.split(array, len(inputs))[index] if array.shape[:1] == (total,) else array

    calls = recorded(model, jnp.concatenate(inputs))
    return [
        [
            dataclasses.replace(call, inputs=[part(index, x) for x in call.inputs], output=part(index, call.output))
            for call in calls
        ]
        for index in range(len(inputs))
    ]


def recorded(model: nnx.Module, x: jax.Array) -> list[Call]:
    """Runs a model; every call of a submodule whose output is an array, in the order in which they end.

    The run is one compiled program, or operation by operation if JAX cannot trace the model.
    """
    graph, state = nnx.split(model)
    modules = {_path(path): module for path, module in nnx.iter_modules(model)}
    labels: list[tuple[str, int]] = []

    @jax.jit
    def arrays(state: nnx.State, x: jax.Array) -> list[tuple[list[jax.Array], jax.Array]]:
        calls = _recorded(nnx.merge(graph, state), x)
        labels[:] = [(call.path, call.position) for call in calls]
        return [(call.inputs, call.output) for call in calls]

    try:
        results = arrays(state, x)
    except UNTRACEABLE:
        return _recorded(model, x)
    return [
        Call(path, modules[path], inputs, output, position)
        for (path, position), (inputs, output) in zip(labels, results, strict=True)
    ]


def _recorded(model: nnx.Module, x: jax.Array) -> list[Call]:
    recorder = _Recorder(model)
    with recorder.patched_classes():
        model(x)
    return recorder.calls


def _path(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path)) or "(model)"


class _Recorder:
    """Replaces the `__call__` of all classes of a model by one that records."""

    def __init__(self, model: nnx.Module):
        modules = [(module, path) for path, module in nnx.iter_modules(model)]
        self.calls: list[Call] = []
        self._paths = {id(module): _path(path) for module, path in modules}
        self._trace = core.get_opaque_trace_state(convention="nnx")
        self._classes: set[Any] = {type(module) for module, _ in modules if callable(module)}
        self._running: set[int] = set()
        self._started = itertools.count()

    @contextlib.contextmanager
    def patched_classes(self) -> Iterator[None]:
        """Records the calls inside the context, and restores the classes after it."""
        originals = {kind: (kind.__call__, "__call__" in vars(kind)) for kind in self._classes}
        try:
            for kind, (original, _) in originals.items():
                kind.__call__ = self._recording(original)
            yield
        finally:
            for kind, (original, has_its_own) in originals.items():
                if has_its_own:
                    kind.__call__ = original
                else:
                    del kind.__call__

    def _recording(self, original: Callable) -> Callable:
        @functools.wraps(original)
        def call(module, *args, **kwargs):
            # A class may call the __call__ that it inherits, which is recorded too: the outermost counts.
            if id(module) not in self._paths or id(module) in self._running:
                return original(module, *args, **kwargs)
            position = next(self._started)
            self._running.add(id(module))
            try:
                output = original(module, *args, **kwargs)
            finally:
                self._running.discard(id(module))
            inputs = [leaf for leaf in jax.tree.leaves((args, kwargs)) if isinstance(leaf, jax.Array)]
            # A module that runs under a vmap or jit of its own, such as a positional encoding, has no value to record.
            is_outermost = core.get_opaque_trace_state(convention="nnx") == self._trace
            if isinstance(output, jax.Array) and is_outermost:
                self.calls.append(Call(self._paths[id(module)], module, inputs, output, position))
            return output

        return call

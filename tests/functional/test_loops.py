"""Loops over blocks: their results, and that a CPU divides their stages among its cores."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax import functional
from gequi_jax.functional._loops import map_on_all_cores
from gequi_jax.groups import cyclic_group


def compiled_text(function, *operands):
    return jax.jit(function).lower(*operands).compile().as_text()


def loops_on_one_core(text):
    """The loops that XLA compiled into one kernel each."""
    return [line for line in text.splitlines() if "xla_cpu_small_call" in line]


def test_it_is_the_map_of_jax():
    xs = {"a": jnp.arange(12.0).reshape(4, 3), "b": (jnp.arange(4), None)}
    function = functools.partial(jax.tree.map, jnp.cos)
    jax.tree.map(np.testing.assert_array_equal, map_on_all_cores(function, xs), jax.lax.map(function, xs))


def test_stages_of_a_loop_run_on_all_cores():
    xs = jnp.ones((4, 64, 1024))
    assert not loops_on_one_core(compiled_text(lambda xs: map_on_all_cores(jnp.sin, xs), xs))


def test_attention_in_windows_runs_on_all_cores():
    group = cyclic_group(4)
    heads = jnp.ones((2, 8, 8, 4, 2, 4))

    def step(function, *operands):
        out, transpose = jax.vjp(function, *operands)
        return out, transpose(out)

    frames = functools.partial(functional.frame_self_attention, group=group, window_size=3)
    assert not loops_on_one_core(compiled_text(functools.partial(step, frames), heads, heads, heads))
    encodings = jnp.ones((4, 9, 2)), jnp.ones((4, 2))
    poses = functools.partial(functional.group_self_attention, group=group, window_size=3)
    assert not loops_on_one_core(compiled_text(functools.partial(step, poses), heads, heads, heads, *encodings))

"""Dropout, and what it shares with batch statistics: variables that a call writes."""

from flax import errors, nnx

from gequi_jax._typing import Array


class Dropout(nnx.Dropout):
    """Sets a fraction of the entries to 0 in training, and scales the others to keep the expectation.

    As `nnx.Dropout`, and also inside a function under `jax.grad` whose model comes from `nnx.merge` without copies.
    """

    def __call__(self, x: Array) -> Array:
        """Maps any array to one of the same shape."""
        if self.rngs is not None and self.rate > 0.0 and not self.deterministic:
            make_writable(self.rngs, "count")
        return super().__call__(x)


def make_writable(module: nnx.Pytree, *names: str):
    """Replaces variables that belong to an outer trace by copies that belong to this one.

    `nnx.merge` keeps the variables of a state that it is given, and those of an outer trace must not be written. The
    copies belong to the merged module, whose new state is what `nnx.split` then returns.

    Args:
      module: a module of this trace.
      *names: its attributes that hold variables.
    """
    for name in names:
        variable = getattr(module, name)
        try:
            variable.set_value(variable.get_value())
        except errors.TraceContextError:
            setattr(module, name, variable.copy())

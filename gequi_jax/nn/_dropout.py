"""Dropout, and what it shares with batch statistics: variables that a call writes."""

import jax
import jax.numpy as jnp
from flax import errors, nnx

from gequi_jax._random_mask import keep_mask
from gequi_jax._typing import Array


class Dropout(nnx.Dropout):
    """Sets random entries to 0 in training and scales the others to keep the expectation.

        y = x m / (1 - rate),  m ~ Bernoulli(1 - rate) for each entry

    Equivariant in distribution: the entries of m are independent and identically distributed. Unlike `nnx.Dropout` it
    also runs under `jax.grad` and other transformations in a module that `nnx.merge` built without copying its state.
    Keys come from the same stream as in `nnx.Dropout`; the mask is a hash of the key and the index of an entry, so its values
    differ.

    Args:
      rate: the probability that an entry is set to 0.
      broadcast_dims: axes along which all entries share one draw.
      deterministic: no dropout; `train()` and `eval()` of any module around this one set it.
      rng_collection: the random stream that is used.
      rngs: the random streams; None is enough where the rate is 0 or keys are given with each call.

    Example:
      >>> import jax.numpy as jnp
      >>> layer = Dropout(0.5, rngs=nnx.Rngs(0))
      >>> layer.eval()
      >>> layer(jnp.ones(3)).tolist()
      [1.0, 1.0, 1.0]
    """

    def __call__(
        self,
        inputs: Array,
        *,
        deterministic: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | jax.Array | None = None,
    ) -> Array:
        """Maps an array of any shape to one of the same shape; the arguments override those of the constructor."""
        inactive = self.deterministic if deterministic is None else deterministic
        stream = self.rngs if rngs is None else rngs
        if rngs is None and self.rate > 0.0 and not inactive:
            self._make_stream_writable()
        has_explicit_sharding = any(jax.typeof(inputs).sharding.spec)  # which the mask must be given too
        if inactive is None or inactive or stream is None or not 0.0 < self.rate < 1.0 or has_explicit_sharding:
            return super().__call__(inputs, deterministic=deterministic, rngs=rngs)
        stream = stream[self.rng_collection] if isinstance(stream, nnx.Rngs) else stream
        key = stream() if isinstance(stream, nnx.RngStream) else stream
        shape = list(inputs.shape)
        for axis in self.broadcast_dims:
            shape[axis] = 1
        mask = jnp.broadcast_to(keep_mask(key, self.rate, tuple(shape)), inputs.shape)
        return jax.lax.select(mask, inputs / (1.0 - self.rate), jnp.zeros_like(inputs))

    def next_key(self) -> Array | None:
        """A new random key, for operations that drop entries of their own; None where no entry is dropped."""
        if self.rate == 0.0 or self.deterministic:
            return None
        self._make_stream_writable()
        assert self.rngs is not None
        return self.rngs()

    def _make_stream_writable(self) -> None:
        if self.rngs is not None:
            make_writable(self.rngs, "count")


def make_writable(module: nnx.Pytree, *names: str) -> None:
    """Replaces variables that belong to an outer trace by copies that belong to the current one.

    `nnx.merge` keeps the variables of the state that it is given, and a transformed function must not write variables of
    an outer trace. The copies belong to the merged module; `nnx.split` returns their new values.

    Args:
      module: a module of the current trace.
      *names: its attributes that hold variables.
    """
    for name in names:
        variable = getattr(module, name)
        try:
            variable.set_value(variable.get_value())
        except errors.TraceContextError:
            setattr(module, name, variable.copy())

"""Training and evaluating the networks of gequi_jax: an application of the library, not part of its wheel."""

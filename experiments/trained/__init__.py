"""Networks outside training: built from a configuration, with trained weights, and what they compute inside.

    build     the network and the data of a configuration
    weights   trained arrays into a network
    inside    feature maps on the group
    run       a finished run

Nothing here imports optax: drawing a layer does not need an optimiser.
"""

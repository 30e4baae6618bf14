"""Networks for programs without this package: plain layers, StableHLO and ONNX.

Every function takes a trained network and leaves it unchanged; what is exported is the network in `eval()` mode.
"""

from gequi_jax.export._onnx import to_onnx as to_onnx
from gequi_jax.export._plain import to_plain as to_plain
from gequi_jax.export._stablehlo import to_stablehlo as to_stablehlo

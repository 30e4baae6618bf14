"""The file of weights: safetensors, with a description of the network in its metadata and a checksum.

Any program that reads safetensors reads the arrays. The checksum covers the metadata, the names, types and shapes of the
arrays and their bytes.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from gequi_jax.groups import FiniteGroup
from gequi_jax.models._arguments import decoded, encoded
from gequi_jax.models._spec import ModelSpec

FORMAT_VERSION = "1"
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64", "U32": "uint32", "I32": "int32"}


@dataclasses.dataclass(frozen=True)
class WeightsInfo:
    """What a file says of its weights.

    Attributes:
      spec: the name and the arguments of the network.
      preprocessing: how images become inputs, such as `{"mean": [0.13], "std": [0.3]}`.
      classes: the name of each logit.
      metrics: what was measured, such as `{"test_accuracy": 97.5}`.
      version: the version of this package that wrote the file.
    """

    spec: ModelSpec
    preprocessing: Mapping[str, Any]
    classes: Sequence[str]
    metrics: Mapping[str, Any]
    version: str

    @property
    def name(self) -> str:
        """The name of the network."""
        return self.spec.name


def write_weights(path: str | Path, info: WeightsInfo, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a file of weights."""
    metadata = _metadata(info)
    metadata["checksum"] = _checksum(metadata, arrays)
    Path(path).write_bytes(safetensors.numpy.save(dict(arrays), metadata))


def read_info(path: str | Path) -> WeightsInfo:
    """What a file says of its weights, without reading them.

    Raises:
      ValueError: if the file is no file of weights, is damaged, or has another version.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise ValueError(f"path: {path} is no complete safetensors file ({error}); get it again.") from error
    version = metadata.get("format_version")
    if metadata.get("format") != "gequi_jax" or version != FORMAT_VERSION:
        content = "no file of gequi_jax weights" if version is None else f"format version {version}"
        raise ValueError(
            f"path: expected gequi_jax weights of format version {FORMAT_VERSION}; {path} is {content}; write it with "
            "gequi_jax.models.save_weights of this version."
        )
    return _info(path, metadata)


def read_weights(path: str | Path) -> tuple[WeightsInfo, dict[str, np.ndarray]]:
    """What a file says of its weights, and the arrays.

    Raises:
      ValueError: as `read_info`, or if a byte differs from what was written.
    """
    info = read_info(path)
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    arrays = {name: _array(tensor) for name, tensor in safetensors.deserialize(Path(path).read_bytes())}
    checksum = metadata.pop("checksum", None)
    if checksum != _checksum(metadata, arrays):
        raise ValueError(f"path: {path} was altered after it was written: its checksum does not fit; get it again.")
    return info, arrays


def _metadata(info: WeightsInfo) -> dict[str, str]:
    groups, _ = encoded({"restricted_to": info.spec.restricted_to})
    return {
        "format": "gequi_jax",
        "format_version": FORMAT_VERSION,
        "gequi_jax_version": info.version,
        "name": info.spec.name,
        "arguments": info.spec.arguments,
        "restricted_to": json.dumps(groups["restricted_to"]),
        "preprocessing": json.dumps(info.preprocessing),
        "classes": json.dumps(list(info.classes)),
        "metrics": json.dumps(info.metrics),
    }


def _info(path: str | Path, metadata: Mapping[str, str]) -> WeightsInfo:
    try:
        subgroups: tuple[FiniteGroup, ...] = decoded(json.loads(metadata["restricted_to"]))
        return WeightsInfo(
            spec=ModelSpec(metadata["name"], metadata["arguments"], restricted_to=subgroups),
            preprocessing=json.loads(metadata["preprocessing"]),
            classes=tuple(json.loads(metadata["classes"])),
            metrics=json.loads(metadata["metrics"]),
            version=metadata["gequi_jax_version"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"path: {path} has damaged metadata ({error!r}); get it again.") from error


def _array(tensor: Mapping[str, Any]) -> np.ndarray:
    dtype = jnp.dtype(_DTYPES[tensor["dtype"]])
    return np.frombuffer(tensor["data"], dtype).reshape(tensor["shape"])


def _checksum(metadata: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.name} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

"""Data parallelism: a batch is split over devices and processes along one mesh axis, `data`; the rest is replicated."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from experiments.data import Batch
from experiments.errors import UserError


@dataclasses.dataclass(frozen=True)
class Layout:
    """The devices of a run.

    Attributes:
      mesh: a one-dimensional mesh with the axis `data`.
      seeded: whether batches and states have a leading axis of seeds.
    """

    mesh: Mesh
    seeded: bool

    @property
    def replicated(self) -> NamedSharding:
        """A copy on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def split(self) -> NamedSharding:
        """Splits the batch axis over the devices."""
        return NamedSharding(self.mesh, PartitionSpec(None, "data") if self.seeded else PartitionSpec("data"))

    @property
    def split_unseeded(self) -> NamedSharding:
        """Splits the leading axis over the devices, with or without an axis of seeds."""
        return NamedSharding(self.mesh, PartitionSpec("data"))

    def replicate(self, tree: Any) -> Any:
        """Puts the same arrays on every device."""
        if jax.process_count() == 1:
            return jax.device_put(tree, self.replicated)
        return jax.tree.map(self._replicate_everywhere, tree)

    def _replicate_everywhere(self, leaf: Any) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = self._replicate_everywhere(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        values = np.asarray(leaf)
        return jax.make_array_from_callback(values.shape, self.replicated, lambda index: values[index])

    def place(self, batch: Batch) -> dict[str, jax.Array]:
        """Global arrays from the rows that each process has read."""
        return {name: jax.make_array_from_process_local_data(self.split, rows) for name, rows in batch.items()}

    def place_whole(self, rows: np.ndarray) -> jax.Array:
        """A global array from a batch that every process has read completely."""
        return jax.make_array_from_callback(rows.shape, self.split_unseeded, lambda index: rows[index])


def initialize(coordinator_address: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Joins the processes of a run through `jax.distributed`, before anything else touches JAX.

    Args:
      coordinator_address: HOST:PORT of process 0, or None to let JAX find the cluster (SLURM, TPU, Open MPI, ...).
      num_processes: number of processes.
      process_id: index of this process.

    Raises:
      UserError: an incomplete address, no cluster, or processes that do not connect.
    """
    given = [value is not None for value in (coordinator_address, num_processes, process_id)]
    if any(given) and not all(given):
        raise UserError(
            "expected --coordinator_address, --num_processes and --process_id together; got only some; give all or none"
        )
    if coordinator_address is not None and num_processes is not None and process_id is not None:
        host, _, port = coordinator_address.rpartition(":")
        if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 2**16):
            raise UserError(
                f"--coordinator_address: expected HOST:PORT, such as node0:1234; got {coordinator_address!r}"
            )
        if num_processes < 1 or not 0 <= process_id < num_processes:
            raise UserError(
                f"--process_id: expected 0 <= process_id < num_processes; got {process_id} with --num_processes={num_processes}"
            )
    try:
        jax.distributed.initialize(coordinator_address, num_processes, process_id)
    except (ValueError, RuntimeError) as error:
        raise UserError(f"the processes of this run could not connect: {str(error).splitlines()[0]}") from error


def create_layout(num_devices: int, *, batch_size: int, seeded: bool) -> Layout:
    """Splits batches over the first `num_devices` devices of all processes (0: all devices).

    Raises:
      UserError: too few devices, or a batch size that is not a multiple of their number.
    """
    devices = jax.devices()
    if num_devices > len(devices):
        raise UserError(
            f"num_devices: expected at most {len(devices)}, the {devices[0].platform} devices here; got {num_devices}"
        )
    if num_devices and jax.process_count() > 1 and num_devices != len(devices):
        raise UserError(
            f"num_devices: expected 0 or {len(devices)}, as several processes use all devices; got {num_devices}"
        )
    devices = devices[: num_devices or len(devices)]
    if batch_size % len(devices):
        raise UserError(
            f"batch_size: expected a multiple of {len(devices)}, the number of devices; got {batch_size}; "
            "choose a multiple, or fewer devices with --config.num_devices"
        )
    mesh = Mesh(np.asarray(devices), ("data",), axis_types=(AxisType.Auto,))
    return Layout(mesh, seeded)

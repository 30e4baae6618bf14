"""The p4 networks of rotated MNIST in PyTorch, to time a training step beside ours.

A program of its own, for an interpreter that has PyTorch and need not have gequi_jax:

    python torch_networks.py NETWORK BATCH_SIZE

It prints "ready", and then for each line that it reads the seconds of one training step. Layers, parameters and their
names are those of the published code: group convolutions as one convolution with the expanded filter bank, and all
responses at once where attention acts on the responses.

Reference: Romero et al. (2020), Eqs. 14 to 20, Tab. 1 and App. B.2.
"""
# pyright: reportMissingImports=false

import math
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

ORDER = 4  # of p4
HAAR_WEIGHT = 2 * math.pi / ORDER  # of each element in the published sums over the group
SPATIAL = (-2, -1)
FEATURES, CLASSES = 10, 10


def rotated_filters(weight: Tensor) -> Tensor:
    """Filters `[out, in, ..., k, k]` under every rotation, `[out, rotation, in, ..., k, k]`; an axis of poses is shifted."""
    copies = [torch.rot90(weight, rotation, SPATIAL) for rotation in range(ORDER)]
    if weight.dim() == 5:
        copies = [copy.roll(rotation, dims=2) for rotation, copy in enumerate(copies)]
    return torch.stack(copies, dim=1)


def shifted_weights(weight: Tensor, has_poses: bool) -> Tensor:
    """Weights `[..., pose]` of 1x1 convolutions for every output pose, `[output pose, ..., pose]`."""
    return torch.stack([weight.roll(rotation, dims=-1) if has_poses else weight for rotation in range(ORDER)])


def correlate(x: Tensor, weight: Tensor, **options: int) -> Tensor:
    """Lifting `[batch, in, ...]` or group convolution `[batch, in, pose, ...]` to `[batch, out, pose, rows, columns]`."""
    bank = rotated_filters(weight)
    if weight.dim() == 4:
        y = functional.conv2d(x, bank.flatten(0, 1), **options)
    else:
        y = HAAR_WEIGHT * functional.conv2d(x.flatten(1, 2), bank.flatten(0, 1).flatten(1, 2), **options)
    return y.unflatten(1, (weight.shape[0], ORDER))


class GroupConv(nn.Module):
    """Lifting or group convolution without a bias."""

    def __init__(self, into: int, out: int, size: int, *, lifting: bool = False):
        super().__init__()
        shape = (out, into, size, size) if lifting else (out, into, ORDER, size, size)
        self.lifting = lifting
        self.weight = nn.Parameter(torch.randn(shape) / math.sqrt(math.prod(shape[1:])))

    def forward(self, x: Tensor) -> Tensor:
        return correlate(x, self.weight)


class ChannelWeights(nn.Module):
    """The two layers that map channel statistics to channel attention."""

    def __init__(self, hidden: tuple[int, ...], output: tuple[int, ...]):
        super().__init__()
        self.weight_fc1 = nn.Parameter(torch.randn(hidden) / 2)
        self.weight_fc2 = nn.Parameter(torch.randn(output) / 2)


class SpatialWeights(nn.Module):
    """The filters that map the mean and the maximum over channels to spatial attention."""

    def __init__(self, *shape: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape) / math.sqrt(math.prod(shape[1:])))


class InputAttentionConv(GroupConv):
    """Channel and spatial attention to the input, then the convolution of what they let through."""

    def __init__(self, into: int, out: int, size: int, *, lifting: bool = False, window: int = 7):
        super().__init__(into, out, size, lifting=lifting)
        hidden, poses = (into, ()) if lifting else (into // 2, (ORDER,))
        self.dilation = 4 if lifting else 1
        self.channel_attention = ChannelWeights((hidden, into, *poses), (into, hidden, *poses))
        self.spatial_attention = SpatialWeights(1, 2, *poses, window, window)

    def forward(self, x: Tensor) -> Tensor:
        statistics = (x.mean(SPATIAL), x.amax(SPATIAL))
        channel = torch.sigmoid(sum(map(self._channel_scores, statistics)))[..., None, None]
        attended = channel * x
        weight = self.spatial_attention.weight
        padding = self.dilation * (weight.shape[-1] // 2)
        pooled = torch.stack([attended.mean(1), attended.amax(1)], dim=1)
        spatial = correlate(pooled, weight, padding=padding, dilation=self.dilation)
        spatial = torch.sigmoid(spatial.amax(2) if self.lifting else spatial)
        return correlate((1 - channel * spatial) * x, self.weight)

    def _channel_scores(self, statistics: Tensor) -> Tensor:
        first, second = self.channel_attention.weight_fc1, self.channel_attention.weight_fc2
        if self.lifting:
            return torch.relu(statistics @ first.T) @ second.T
        hidden = torch.relu(torch.einsum("voim,bim->bov", shifted_weights(first, True), statistics))
        return torch.einsum("voim,bim->bov", shifted_weights(second, True), hidden)


class ResponseAttentionConv(GroupConv):
    """Channel and spatial attention to the responses of every filter, before the sums over input channels and poses."""

    def __init__(self, into: int, out: int, size: int, *, lifting: bool = False, window: int = 7):
        super().__init__(into, out, size, lifting=lifting)
        hidden, poses = (into, ()) if lifting else (into // 2, (ORDER,))
        self.channel_attention = ChannelWeights((out, hidden, into, *poses), (out, into, hidden, *poses))
        self.spatial_attention = SpatialWeights(out, 2, *poses, window, window)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(2) if self.lifting else x
        responses = self._responses(x)  # [batch, in, in pose, out, out pose, rows, columns]
        statistics = (responses.mean(SPATIAL), responses.amax(SPATIAL))
        channel = torch.sigmoid(sum(map(self._channel_scores, statistics)))[..., None, None]
        spatial = torch.sigmoid(self._spatial_scores(channel * responses))
        y = ((1 - channel * spatial) * responses).sum((1, 2))
        return y if self.lifting else HAAR_WEIGHT * y

    def _responses(self, x: Tensor) -> Tensor:
        bank = _with_poses(rotated_filters(self.weight), 3)  # [out, out pose, in, in pose, k, k]
        out, into, poses = bank.shape[0], bank.shape[2], bank.shape[3]
        filters = bank.permute(2, 3, 0, 1, 4, 5).flatten(0, 3).unsqueeze(1)
        y = functional.conv2d(x.flatten(1, 2), filters, groups=into * poses)
        return y.unflatten(1, (into, poses, out, ORDER))

    def _channel_scores(self, statistics: Tensor) -> Tensor:
        weights = (self.channel_attention.weight_fc1, self.channel_attention.weight_fc2)
        weights = [weight.unsqueeze(-1) if self.lifting else weight for weight in weights]
        first, second = (shifted_weights(weight, not self.lifting) for weight in weights)
        hidden = torch.relu(torch.einsum("vohim,bimov->bhmov", first, statistics))
        return torch.einsum("voihm,bhmov->bimov", second, hidden)

    def _spatial_scores(self, attended: Tensor) -> Tensor:
        pooled = torch.stack([attended.mean(1), attended.amax(1)], dim=4)  # [batch, in pose, out, out pose, 2, ...]
        bank = _with_poses(rotated_filters(self.spatial_attention.weight), 3)  # [out, out pose, 2, in pose, k, k]
        filters = bank.permute(3, 0, 1, 2, 4, 5).flatten(0, 2)
        scores = functional.conv2d(pooled.flatten(1, 4), filters, padding=filters.shape[-1] // 2, groups=len(filters))
        return scores.unflatten(1, pooled.shape[1:4]).unsqueeze(1)


def _with_poses(bank: Tensor, axis: int) -> Tensor:
    return bank.unsqueeze(axis) if bank.dim() == 5 else bank


class RotMnistNetwork(nn.Module):
    """Seven group convolutions with batch norm, dropout of 0.3 and one pooling layer; the maximum over the group."""

    def __init__(self, layer: Callable[..., nn.Module]):
        super().__init__()
        self.c1 = layer(1, FEATURES, 3, lifting=True)
        for index in range(2, 7):
            self.add_module(f"c{index}", layer(FEATURES, FEATURES, 3))
        self.c7 = layer(FEATURES, CLASSES, 4)
        for index in range(1, 7):
            self.add_module(f"bn{index}", nn.BatchNorm3d(FEATURES, eps=2e-5))

    def forward(self, x: Tensor) -> Tensor:
        for index in range(1, 7):
            x = torch.relu(self.get_submodule(f"bn{index}")(self.get_submodule(f"c{index}")(x)))
            x = functional.max_pool3d(x, (1, 2, 2)) if index == 2 else functional.dropout(x, 0.3, self.training)
        return self.c7(x).amax(2)[..., 0, 0]


LAYERS = {
    "rotmnist_p4_cnn": GroupConv,
    "rotmnist_alpha_f_p4_cnn": InputAttentionConv,
    "rotmnist_alpha_p4_cnn": ResponseAttentionConv,
}


def training_step(name: str, batch_size: int) -> Callable[[], None]:
    """A function that makes one step of Adam on a batch of random images."""
    torch.manual_seed(0)
    network = RotMnistNetwork(LAYERS[name])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-4)
    images, labels = torch.rand(batch_size, 1, 28, 28), torch.randint(0, CLASSES, (batch_size,))

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(network(images), labels).backward()
        optimizer.step()

    return step


def main(name: str, batch_size: int) -> None:
    """Answers each line of the standard input by the seconds of one training step."""
    step = training_step(name, batch_size)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""Attentive convolutions, written straight from the equations, and from the formulas of the published code."""

import numpy as np
from scipy import signal

from tests.reference.actions import find, positions
from tests.reference.conv import kernel_index


def responses(group, x, kernel):
    """Eq. 16 for one output channel: `x` is `[*spatial, poses, in]`, `kernel` `[*window, poses, in]`.

    One pose stands for a function on R^d. Returns `[*spatial, out_group, poses, in]`.
    """
    dim, poses = group.dim, x.shape[-2]
    out = np.zeros((*x.shape[:dim], group.order, *x.shape[dim:]))
    grid = positions(x.shape[:dim])
    for i, at in grid:
        for j, key_at in grid:
            for h in range(group.order):
                tap = kernel_index(np.linalg.solve(group.matrices[h], key_at - at), kernel.shape[:dim])
                if tap is not None:
                    for m in range(poses):
                        out[i][h, m] += x[j][m] * kernel[tap][seen_pose(group, h, m, poses)]
    return out


def channel_attention(group, f, w1, w2):
    """Eq. 17: `f` is `[*spatial, out_group, poses, in]`, `w1` `[poses, in, hidden]`, `w2` `[poses, hidden, in]`."""
    poses = f.shape[-2]
    flat = f.reshape(-1, *f.shape[group.dim :])
    alpha = np.zeros(f.shape[group.dim :])
    for h in range(group.order):
        for m in range(poses):
            pose = seen_pose(group, h, m, poses)
            for statistic in (flat[:, h, m].mean(0), flat[:, h, m].max(0)):
                alpha[h, m] += np.maximum(statistic @ w1[pose], 0) @ w2[pose]
    return sigmoid(alpha)


def spatial_attention(group, f, kernel):
    """Eq. 18: `f` is `[*spatial, out_group, poses, in]`, `kernel` `[*window, poses, 2]`."""
    dim, poses = group.dim, f.shape[-2]
    statistics = np.stack([f.mean(-1), f.max(-1)], -1)
    alpha = np.zeros(f.shape[:-1])
    grid = positions(f.shape[:dim])
    for i, at in grid:
        for j, key_at in grid:
            for h in range(group.order):
                tap = kernel_index(np.linalg.solve(group.matrices[h], key_at - at), kernel.shape[:dim])
                if tap is not None:
                    for m in range(poses):
                        alpha[i][h, m] += statistics[j][h, m] @ kernel[tap][seen_pose(group, h, m, poses)]
    return sigmoid(alpha)


def full_attention(group, x, kernel, w1, w2, spatial_kernel):
    """Eqs. 16 to 19 with the residual branch of section 3.3, for one output channel: `[*spatial, out_group]`."""
    f = responses(group, x, kernel)
    channel = channel_attention(group, f, w1, w2)
    spatial = spatial_attention(group, channel * f, spatial_kernel)
    return ((1 - spatial[..., None] * channel) * f).sum((-2, -1))


def seen_pose(group, h, m, poses):
    """The index of h^-1 m; a function on R^d has one pose."""
    return 0 if poses == 1 else find(group, np.linalg.solve(group.matrices[h], group.matrices[m]))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Published:
    """The layers of the published code, in its layout `[batch, channels, elements, rows, columns]`, in float64.

    Args:
      mirrored: "e2", with 8 elements, in place of "se2", with 4.
    """

    def __init__(self, mirrored: bool):
        self.mirrored = mirrored
        self.order = 8 if mirrored else 4
        self.conv_factor = 2 * np.pi / 4 * (2 if mirrored else 1)
        self.attentive_factor = 2 * np.pi / self.order

    def move_image(self, v, w):
        turned = np.rot90(w, v % 4, axes=(-2, -1))
        return turned[..., ::-1, :] if v >= 4 else turned

    def index(self, v):
        k, j = v % 4, np.arange(4)
        if not self.mirrored:
            return (j - k) % 4
        if v < 4:
            return np.concatenate([(j - k) % 4, 4 + (j + k) % 4])
        return np.concatenate([4 + (j + k) % 4, (j - k) % 4])

    def move(self, v, w):
        """Moves a filter `[..., elements, rows, columns]`."""
        return self.move_image(v, w)[..., self.index(v), :, :]

    def lifted(self, x, w):
        """t[b, o, v, c] for an image and a filter on the plane."""
        moved = np.stack([self.move_image(v, w) for v in range(self.order)], 1)
        return _correlate(x[:, None, None], moved[None])

    def convolved(self, x, w):
        """t[b, o, v, c, m] for a function and a filter on the group."""
        moved = np.stack([self.move(v, w) for v in range(self.order)], 1)
        return _correlate(x[:, None, None], moved[None])

    def response_channel_map(self, t, fc1, fc2):
        alpha = 0.0
        for pooled in (t.mean((-2, -1)), t.max((-2, -1))):
            if pooled.ndim == 4:
                hidden = np.maximum(np.einsum("orc,bovc->bovr", fc1, pooled), 0)
                alpha = alpha + np.einsum("ocr,bovr->bovc", fc2, hidden)
            else:
                rolled1, rolled2 = (np.stack([np.roll(w, v, -1) for v in range(self.order)], 1) for w in (fc1, fc2))
                hidden = np.maximum(np.einsum("ovrcm,bovcm->bovrm", rolled1, pooled), 0)
                alpha = alpha + np.einsum("ovcrm,bovrm->bovcm", rolled2, hidden)
        return sigmoid(alpha)[..., None, None]

    def response_spatial_map(self, t, w):
        on_group = t.ndim == 7
        pooled = np.stack([t.mean(3), t.max(3)], 3)
        move = self.move if on_group else self.move_image
        moved = np.stack([move(v, w) for v in range(self.order)], 1)
        return sigmoid(_correlate(pooled, moved[None]).sum(3, keepdims=True))

    def input_channel_map(self, x, fc1, fc2):
        alpha = 0.0
        for pooled in (x.mean((-2, -1)), x.max((-2, -1))):
            if pooled.ndim == 2:
                alpha = alpha + np.maximum(pooled @ fc1.T, 0) @ fc2.T
            else:
                moved1, moved2 = (np.stack([w[..., self.index(v)] for v in range(self.order)], 1) for w in (fc1, fc2))
                hidden = np.maximum(np.einsum("rvcm,bcm->brv", moved1, pooled), 0)
                alpha = alpha + np.einsum("cvrm,brm->bcv", moved2, hidden)
        return sigmoid(alpha)[..., None, None]

    def input_spatial_map(self, x, w):
        pooled = np.stack([x.mean(1), x.max(1)], 1)
        return self.input_map(pooled, w)

    def input_map(self, x, w):
        """A convolution of a signal with one output channel, and the sigmoid; of an image, the largest of all poses."""
        if x.ndim == 4:
            return sigmoid(self.lifted(x, w).sum(3).max(2))
        return sigmoid(self.conv_factor * self.convolved(x, w).sum((3, 4)))


def _correlate(x, w):
    """Cross-correlation over the last two axes, padded to the same size, with broadcasting over the others."""
    shape = np.broadcast_shapes(x.shape[:-2], w.shape[:-2])
    x = np.broadcast_to(x, (*shape, *x.shape[-2:]))
    w = np.broadcast_to(w, (*shape, *w.shape[-2:]))
    out = np.empty(x.shape)
    for index in np.ndindex(shape):
        out[index] = signal.correlate2d(x[index], w[index], mode="same")
    return out

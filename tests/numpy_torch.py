"""As much of PyTorch as an exported model.py asks for, computed by NumPy.

A convolution is the sum over the kernel's places, one strided slice each.
"""

import types

import numpy as np


class Tensor(np.ndarray):
    """A NumPy array with the methods of a tensor that have other names there."""

    def permute(self, *axes):
        return self.transpose(*axes)

    def flip(self, *axes):
        return np.flip(self, axes)

    def expand(self, *sizes):
        pairs = zip(sizes, self.shape, strict=True)
        return np.broadcast_to(self, [a if a > 0 else b for a, b in pairs], subok=True)

    def to(self, dtype):
        return self.astype(dtype)

    def amax(self, axes):
        return self.max(axes)

    def new_full(self, sizes, value):
        return tensor(np.full(sizes, value, self.dtype))

    def clamp(self, min):
        return np.maximum(self, min)


class Module:
    def register_parameter(self, name, value):
        setattr(self, name, value)

    register_buffer = register_parameter

    def eval(self):
        return self

    def __call__(self, x):
        return self.forward(x)


def tensor(array):
    return np.asarray(array).view(Tensor)


def pad(x, sides):
    left, right, top, bottom = sides
    added = np.maximum([(0, 0), (0, 0), (top, bottom), (left, right)], 0)
    height, width = np.add(x.shape[2:], np.minimum([bottom, right], 0))
    cropped = x[:, :, max(0, -top) : height, max(0, -left) : width]
    return tensor(np.pad(cropped, added))


def conv2d(x, kernel, stride):
    out = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], kernel.shape[2:], stride)]
    total = np.zeros((len(x), len(kernel), *out), np.float32)
    for i, j in np.ndindex(*kernel.shape[2:]):
        rows = slice(i, i + (out[0] - 1) * stride[0] + 1, stride[0])
        columns = slice(j, j + (out[1] - 1) * stride[1] + 1, stride[1])
        total += np.einsum("ncyx,oc->noyx", x[:, :, rows, columns], kernel[:, :, i, j])
    return tensor(total)


def conv_transpose2d(x, kernel, stride):
    """Every pixel adds its kernel to the output."""
    steps = list(zip(x.shape[2:], kernel.shape[2:], stride))
    sides = [(n - 1) * s + k for n, k, s in steps]
    total = np.zeros((len(x), kernel.shape[1], *sides), np.float32)
    for i, j in np.ndindex(*kernel.shape[2:]):
        rows = slice(i, i + (x.shape[2] - 1) * stride[0] + 1, stride[0])
        columns = slice(j, j + (x.shape[3] - 1) * stride[1] + 1, stride[1])
        total[:, :, rows, columns] += np.einsum("ncyx,co->noyx", x, kernel[:, :, i, j])
    return tensor(total)


def modules():
    """{name: module} for `sys.modules`."""
    functional = types.ModuleType("torch.nn.functional")
    functional.pad, functional.conv2d = pad, conv2d
    functional.conv_transpose2d = conv_transpose2d
    nn = types.ModuleType("torch.nn")
    nn.Module, nn.Parameter, nn.functional = Module, lambda x: x, functional
    torch = types.ModuleType("torch")
    torch.nn, torch.tensor = nn, tensor
    torch.where = lambda *parts: tensor(np.where(*parts))
    torch.cat = lambda parts, axis: tensor(np.concatenate(parts, axis))
    torch.exp = np.exp
    torch.relu = lambda x: np.maximum(x, 0)
    torch.rsqrt = lambda x: 1 / np.sqrt(x)
    torch.tanh, torch.sqrt, torch.square = np.tanh, np.sqrt, np.square
    torch.maximum, torch.einsum, torch.float32 = np.maximum, np.einsum, np.float32
    return {"torch": torch, "torch.nn": nn, "torch.nn.functional": functional}

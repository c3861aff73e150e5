"""The reconstruction of the textbook, written out with loops in double precision, to compare with."""

import itertools

import torch
from torch import Tensor

from snrstream.recon.fft import to_image
from snrstream.recon.grappa import TIKHONOV, Kernel


def direct_weights(acs: Tensor, kernel: Kernel) -> Tensor:
    """The regularised least-squares fit, every window a row: complex128 in the shape of `kernel.weights`.

    Solved by QR of `[A; sqrt(lambda) I]`: no normal equations, which square the condition number.
    """
    acs = acs.to(torch.complex128)
    n_channels, n_e2, n_e1, n_ro = acs.shape
    reach = kernel.sources + kernel.targets
    spans = [
        range(-min(d[axis] for d in reach), size - max(d[axis] for d in reach)) for axis, size in ((0, n_e2), (1, n_e1))
    ]
    rows, right = [], []
    for z, y, x in itertools.product(*spans, range(-kernel.samples[0], n_ro - kernel.samples[-1])):
        rows.append(torch.stack([acs[:, z + dz, y + dy, x + s] for dz, dy in kernel.sources for s in kernel.samples]))
        right.append(torch.stack([acs[:, z + dz, y + dy, x] for dz, dy in kernel.targets]))
    a, b = torch.stack(rows).flatten(1), torch.stack(right).flatten(1)
    n_unknowns = a.shape[1]
    penalty = torch.sqrt(TIKHONOV * a.abs().square().sum() / n_unknowns) * torch.eye(n_unknowns)
    weights = torch.linalg.lstsq(torch.cat([a, penalty]), torch.cat([b, b.new_zeros(n_unknowns, b.shape[1])])).solution
    shape = len(kernel.targets), n_channels, len(kernel.sources), len(kernel.samples), n_channels
    return weights.T.reshape(shape)


def filled(kspace: Tensor, sampled: Tensor, kernel: Kernel, weights: Tensor) -> Tensor:
    """K-space `(channel, e2, e1, ro)` complex128 whose missing lines are made of the `sampled` ones `(e2, e1)`.

    Where R divides the lines, the lattice goes on beyond the edge and windows wrap around it.
    """
    kspace, weights = kspace.to(torch.complex128), weights.to(torch.complex128)
    _, n_e2, n_e1, n_ro = kspace.shape
    whole = kspace.clone()
    for z, y in sampled.nonzero().tolist():
        for target, (tz, ty) in enumerate(kernel.targets):
            for x in range(n_ro):
                window = [
                    [kspace[:, (z + dz) % n_e2, (y + dy) % n_e1, (x + s) % n_ro] for s in kernel.samples]
                    for dz, dy in kernel.sources
                ]
                sources = torch.stack([torch.stack(line) for line in window])
                whole[:, (z + tz) % n_e2, (y + ty) % n_e1, x] = torch.einsum("okxc,kxc->o", weights[target], sources)
    return whole


def combined(kspace: Tensor, csm: Tensor) -> Tensor:
    """The image `(e2, e1, ro)` of k-space `(channel, e2, e1, ro)`, its coils combined by maps of that shape."""
    return (to_image(kspace, dims=(1, 2, 3)) * csm.conj()).sum(dim=0)


def relative(error: Tensor, reference: Tensor) -> float:
    """Root of the summed squares of `error` over that of `reference`: the NRMSE of a difference."""
    return float(torch.linalg.vector_norm(error) / torch.linalg.vector_norm(reference))

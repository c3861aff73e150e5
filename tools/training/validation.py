"""The fixed noisy scans by which checkpoints and alpha are chosen."""

import torch
from torch import nn

from tools.training import metrics
from tools.training.archive import Archive
from tools.training.noise_process import unit_noise
from tools.training.patches import Batch, to_channels

VALIDATION_SNRS = (5.0, 10.0, 20.0)


def validation_set(held_out: Archive, seed: int) -> Batch:
    """Fixed white noise on whole scans of an unseen subject: tissue SNR 5, 10, 20 in turn; g = 1 or a map."""
    generator = torch.Generator().manual_seed(seed + 1)
    noisy, clean, gmaps = [], [], []
    for index, scan in enumerate(held_out.clean):
        signal = scan * (VALIDATION_SNRS[index % 3] / float(held_out.snr[index]))
        gmap = torch.ones(scan.shape) if index % 2 else held_out.gmaps[index % len(held_out.gmaps)]
        noisy.append(signal + gmap * unit_noise(tuple(scan.shape), None, generator))
        clean.append(signal)
        gmaps.append(gmap)
    return Batch(to_channels(torch.stack(noisy)), to_channels(torch.stack(clean)), torch.stack(gmaps)[:, None])


@torch.no_grad()
def validation_psnr(network: nn.Module, batch: Batch, alpha: float = 0.0) -> float:
    """Mean magnitude PSNR in the object, of `alpha * noisy + (1 - alpha) * denoised`."""
    values = []
    for x, noisy, clean in zip(batch.network_input(), batch.noisy, batch.clean, strict=True):
        output = alpha * noisy + (1 - alpha) * network(x[None])[0, :, 0]
        image, truth = (torch.complex(*part).abs() for part in (output, clean))
        values.append(metrics.magnitude_psnr(image, truth, metrics.object_mask(truth)))
    return sum(values) / len(values)

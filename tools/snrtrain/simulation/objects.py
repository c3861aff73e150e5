"""Magnitude objects `(e1, ro)` float32 that no scanner made: pictures, textures, phantoms; and contrast remaps.

They keep the denoiser from learning anatomy by heart. All draw from the generator that is passed in.
"""

import numpy as np
from numpy.random import Generator
from scipy import ndimage

EDGE = 0.7  # pixels over which a tissue of `covered` ends

# Shipped with scikit-image, all usable without a download (public domain, CC0 or BSD).
PICTURES = (
    "astronaut", "brick", "camera", "cat", "cell", "clock", "coffee", "coins", "colorwheel", "grass",
    "gravel", "horse", "hubble_deep_field", "immunohistochemistry", "microaneurysms", "moon", "page",
    "retina", "rocket", "text",
)  # fmt: skip


def pictures() -> list[np.ndarray]:
    """scikit-image's pictures as grey values in 0 ... 1."""
    from skimage import color, data

    loaded = []
    for name in PICTURES:
        picture = np.asarray(getattr(data, name)())
        scale = 255.0 if picture.dtype == np.uint8 else 1.0
        grey = picture.astype(np.float32) / scale
        if grey.ndim == 3:
            grey = color.rgb2gray(grey[..., :3]).astype(np.float32)
        while max(grey.shape) > 700:
            grey = grey[: grey.shape[0] // 2 * 2, : grey.shape[1] // 2 * 2]
            grey = grey.reshape(grey.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))
        loaded.append(grey)
    return loaded


def in_air(image: np.ndarray, rng: Generator) -> np.ndarray:
    """The image cut to a blob with a soft, irregular edge and air around it."""
    y, x = (np.linspace(-1, 1, size) for size in image.shape)
    angle = np.arctan2(y[:, None], x[None, :])
    radius = np.hypot(y[:, None] / rng.uniform(0.6, 0.95), x[None, :] / rng.uniform(0.6, 0.95))
    for lobes in range(2, 6):
        radius = radius + rng.normal(0, 0.05) * np.cos(lobes * angle + rng.uniform(0, 6.3)) * radius
    return np.asarray(image * np.clip((1 - radius) * image.shape[0] / 4, 0, 1), np.float32)


def phantom(size: int, rng: Generator) -> np.ndarray:
    """Overlapping ellipses, boxes and lines of random intensity, some textured, antialiased."""
    fine = 2 * size
    y, x = np.meshgrid(np.linspace(-1, 1, fine), np.linspace(-1, 1, fine), indexing="ij")
    image = np.zeros((fine, fine))
    image[(x / rng.uniform(0.6, 0.95)) ** 2 + (y / rng.uniform(0.6, 0.95)) ** 2 < 1] = rng.uniform(0.2, 1)
    for _ in range(int(rng.integers(15, 60))):
        angle, (cx, cy) = rng.uniform(0, np.pi), rng.uniform(-0.75, 0.75, size=2)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        a, b = np.exp(rng.uniform(np.log(0.008), np.log(0.4), size=2))
        kind = rng.integers(4)
        if kind <= 1:
            inside = (u / a) ** 2 + (v / b) ** 2 < 1
        elif kind == 2:
            inside = (np.abs(u) < a) & (np.abs(v) < b)
        else:
            inside = (np.abs(u + rng.uniform(-0.3, 0.3) * v**2) < rng.uniform(0.004, 0.015)) & (np.abs(v) < 0.5)
        value = rng.uniform(0, 1.2) if rng.random() < 0.8 else rng.uniform(1.2, 3)
        fill = value if rng.random() < 0.6 else value * (1 + rng.uniform(0.1, 0.6) * _stripes(u, v, rng))
        image = np.where(inside, fill, image)
    image = image.reshape(size, 2, size, 2).mean(axis=(1, 3))
    return np.asarray(np.clip(image, 0, None), np.float32)


def texture(size: int, rng: Generator) -> np.ndarray:
    """A random field with a power-law spectrum, thresholded into patches half of the time."""
    k = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :])
    spectrum = rng.standard_normal((size, size)) * (k + 0.01) ** -rng.uniform(1.2, 2.5)
    field = np.fft.ifft2(spectrum * np.exp(2j * np.pi * rng.random((size, size)))).real
    field = (field - field.mean()) / field.std()
    if rng.random() < 0.5:
        levels = np.sort(rng.normal(0, 1, size=int(rng.integers(1, 5))))
        field = rng.uniform(0, 1, size=len(levels) + 1)[np.digitize(field, levels)]
        field = ndimage.gaussian_filter(field, rng.uniform(0.3, 0.8))
    else:
        field = np.clip(0.5 + 0.25 * field, 0, None)
    return in_air(field, rng)


def covered(depth: np.ndarray) -> np.ndarray:
    """How much of each pixel a tissue fills: 1 where the depth in pixels below its surface is above 0, softly."""
    return np.asarray(0.5 * (1 + np.tanh(2 * depth / EDGE)))


def remap(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Another contrast of the same object: gamma, inversion or a random curve; air stays 0."""
    kind = rng.random()
    if kind < 0.35:
        return image
    inside = np.clip(image / 0.15, 0, 1)  # a soft object mask: tissue darker than this fades to air
    bounded = np.clip(image, 0, 1.6)
    if kind < 0.55:
        return np.asarray(bounded ** rng.uniform(0.5, 2.0))
    if kind < 0.75:
        return np.asarray(inside * np.clip(rng.uniform(1.0, 1.4) - bounded, 0.02, None))
    knots = np.linspace(0, 1.6, 6)
    steps = rng.uniform(-1.0, 1.4, size=5) * 0.32  # slopes within 1.4: the volume's own noise is not raised
    return np.asarray(inside * np.interp(bounded, knots, np.clip(0.3 + np.cumsum([0, *steps]), 0.02, None)))


def _stripes(u: np.ndarray, v: np.ndarray, rng: Generator) -> np.ndarray:
    period = np.exp(rng.uniform(np.log(0.02), np.log(0.2)))
    along = np.sin(2 * np.pi * u / period)
    return np.asarray(along * (np.sin(2 * np.pi * v / period) if rng.random() < 0.5 else 1))

"""What a real Gadgetron sees of snrstream: `chain`, the entry point of its external modules, and its own items as ours.

- `items`: which of Gadgetron's items the first gadget of a chain takes, and as what.
- `kspace`: acquisition buckets and recon data as acquisitions or buckets of ours.
- `images`, `image_arrays`, `gmaps`: image arrays and images as images in SNR units, each with its g-map.

<execute name="snrstream.gadgetron" target="chain" type="python"/>
"""


def __getattr__(name: str) -> object:
    """`chain`, when it is asked for: the adapters in this folder lie below the hosts, which run it."""
    if name == "chain":
        from ..hosts.gadgetron_module import chain

        return chain
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

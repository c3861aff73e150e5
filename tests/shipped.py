"""What the repository brings along; a user's own models may lie beside them."""

MODELS = ("sn2n_unet25d", "snraware", "snraware_time", "snraware_unet2d")

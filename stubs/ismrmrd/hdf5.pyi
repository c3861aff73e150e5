from typing import Any

import numpy as np

acquisition_header_dtype: np.dtype[Any]
acquisition_dtype: np.dtype[Any]

def get_hdf5type(val: int) -> np.dtype[Any]: ...

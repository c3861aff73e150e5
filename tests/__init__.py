"""One thread in each process of the tests, as one scan has: two that wait for each other at every small step take
several times as long, and two processes of the tests run side by side."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch read it, here and in subprocesses

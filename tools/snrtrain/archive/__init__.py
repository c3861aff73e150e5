"""The archive that models are trained on: its items, subjects and volumes, and what makes them of raw scans."""

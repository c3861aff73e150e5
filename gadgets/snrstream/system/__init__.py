"""The process and its machine.

- `threads`, `time_limit`: how many threads, and work that may take only so long.
- `log_levels`, `progress`, `numbers`: what is seen on stderr.
- `resources`: the folders of pipelines and models.
- `safe_xml`: XML from strangers.
"""

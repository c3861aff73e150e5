"""A stream configuration (XML) to a chain of gadgets, with their parameters.

- `configuration`: XML to names and properties. `parameters`: properties to values, and what they say of themselves.
- `registry`: the gadgets that there are, and their order. `own_gadgets`: those of the user's among them.
- `chain`: the gadgets one behind the other. `pipelines`: chains by name or file.
- `warm_up`, `trial_scan`: a server's first scan waits for nothing.
"""

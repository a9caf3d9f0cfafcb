"""All of linkbus's tracing, and the only package that imports `opentelemetry`.

It does no I/O and awaits nothing. It never raises and never changes an outcome: what
goes wrong in a propagator, a sampler or a processor is logged, and the message goes on.

- `_config` has `Tracing`, what a user sets; `_providers` finds what is in force
- `_propagation` reads and writes creation contexts in headers; `_w3c` the usual one, faster
- `_links` gathers distinct links, and starts spans that lose none of them
- `_incoming` has what links say of a message, `_lineage` where a dead letter comes from,
  `_placing` where a process span belongs
- `_sending` and `_processing` make the spans of the five operations; `_operation` and
  `_process` are one of them under way
- `_stored` is for flows that do not pass through a bus
- `_suppressing` keeps other instrumentation out of what a transport does
- `_metrics` has the instruments; `_names` the attributes' names
- `_core` is what a bus's tracers share; `_quiet` makes a tracing method harmless
"""

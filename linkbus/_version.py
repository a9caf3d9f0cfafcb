"""The version, in one place: the package's metadata and the tracer's scope read it."""

__version__ = "0.1.0"

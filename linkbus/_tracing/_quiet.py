"""Tracing never raises: what goes wrong in it is logged, and the message goes on."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

logger = logging.getLogger("linkbus")

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


def quiet(
    fallback: Callable[Concatenate[S, P], R],
) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Make a tracing method harmless: where it raises, `fallback` answers instead.

    `fallback` is called with the same arguments, and does nothing that can fail.
    """

    def harmless(traced: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return traced(self, *args, **kwargs)
            except Exception:  # a propagator, a sampler or a processor may raise anything
                logger.exception("tracing failed in %s; the message goes on", traced.__qualname__)
                return fallback(self, *args, **kwargs)

        functools.update_wrapper(call, traced)
        return call

    return harmless

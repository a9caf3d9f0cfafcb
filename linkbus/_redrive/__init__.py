"""Redrive: dead letters are sent back, and nothing is lost on the way.

_backlog      what was in the dead letters when a redrive began
_letter       what can be told of one
_redriving    sends them: confirmed first, acknowledged then
_command      what `linkbus redrive` does: a redrive by URL, and signals
_wording      what it says
_calm_log     what it shows of the log
"""

from linkbus._redrive._letter import Letter
from linkbus._redrive._redriving import Redrive

__all__ = ["Letter", "Redrive"]

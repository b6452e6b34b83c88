"""Inside the experts: which of them hear what, what they are for, whether gradients fight, what it costs.

Statistics over arrays, and drawings of them. Models are known by the protocols of `evalkit.inside` alone.
"""

from __future__ import annotations

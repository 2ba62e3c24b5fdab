"""Wyoming, the protocol of Home Assistant's voice services: JSON lines and raw audio over TCP.

The format and the order of events are those of the protocol's own page, version 1.10.
"""

from verbatim.dialects.wyoming.service import NAME, dialect

__all__ = ["NAME", "dialect"]

"""What all requests of one API process share: connections, stores and the event loop."""

from api.services.loop import LoopServices
from api.services.process import Services, services

__all__ = ["LoopServices", "Services", "services"]

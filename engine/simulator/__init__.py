"""An Alpaca of our own on loopback: the venue's wire protocol over a synthetic or a recorded market.

``start(...)`` runs it in a process of its own, which dies with the caller. Nothing here is
imported by the trading path: the engine meets the simulator only through its sockets.
"""

from engine.simulator.process import Simulator, start, start_process

__all__ = ["Simulator", "start", "start_process"]

"""The load on one worker: slots (closed loop), sender (open loop), pool (users' tasks). Knows no Locust."""

from triton_users.engine.engine import Engine
from triton_users.engine.gaps import spare
from triton_users.engine.here import census, pool_of
from triton_users.engine.lane import Lane
from triton_users.engine.member import Member
from triton_users.engine.pool import Pool
from triton_users.engine.requests import Requests
from triton_users.engine.sender import Sender
from triton_users.engine.slots import Slots

__all__ = ["Engine", "Lane", "Member", "Pool", "Requests", "Sender", "Slots", "census", "pool_of", "spare"]

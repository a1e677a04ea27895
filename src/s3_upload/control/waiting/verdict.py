"""Where an attempt stands against its timers, and what to do about it. Pure: `now` is an argument.

Theory of operation.  A request goes through three phases, told apart by what the socket says:

    sending    request_s .. acked_s      judged by `stall_s`: time since the last byte acknowledged
    waiting    acked_s .. first_byte_s   judged by `hedge_s` and `response_s`
    answering  first_byte_s .. end       judged by PATIENCE_S

and the whole by `total_s`.  (A handshake comes before and is timed where it happens.)

A cut by the stall or response timer is speculation: the attempt might still succeed.  It needs
credit (`budget.SpeculationBudget`) until the attempt has been silent for PATIENCE_S; from then on it
is cut in any case, so nothing waits for ever.
"""

from __future__ import annotations

import enum

import msgspec

from s3_upload.control.waiting.adaptive import (
    PATIENCE_S,
    TIMER_RESPONSE,
    TIMER_STALL,
    TIMER_TOTAL,
)
from s3_upload.control.waiting.timeouts import NEVER_S, Timeouts

CREDIT_S = 0.5
"""How often, in seconds, it is asked whether there is credit for a cut by now."""


class Tuning(msgspec.Struct, frozen=True):
    """The constants of the module's theory, but for those that others need too."""

    stall_rtos: float = 8.0
    """A stall lasts at least this many RTOs of the connection: time for three retransmissions, which double
    the RTO each (RFC 6298, 5.5)."""


DEFAULT = Tuning()


class Action(enum.Enum):
    """What to do with an attempt now."""

    WAIT = "wait"
    HEDGE = "hedge"
    CUT_IF_CREDIT = "cut-if-credit"
    CUT = "cut"


class Standing(msgspec.Struct, gc=False):
    """What is known of an attempt's progress; times in seconds on the run's clock, 0.0 for not yet.

    `progress_s`: when the last byte was acknowledged (at first: when the request began).
    `rto_s`: the connection's retransmission timeout before back-off, 0.0 where it is not known.
    """

    request_s: float = 0.0
    progress_s: float = 0.0
    acked_s: float = 0.0
    first_byte_s: float = 0.0
    rto_s: float = 0.0
    hedged: bool = False


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """`action` now, because of `timer`; look again at `due_s`."""

    action: Action
    due_s: float
    timer: str = ""


def judge(timeouts: Timeouts, standing: Standing, *, now: float, tuning: Tuning = DEFAULT) -> Judgement:
    total_due_s = standing.request_s + timeouts.total_s
    if now >= total_due_s:
        return Judgement(Action.CUT, now, TIMER_TOTAL)
    if standing.first_byte_s > 0.0:
        due_s = standing.first_byte_s + PATIENCE_S
        # Such an answer may take minutes: the store sends white space meanwhile.
        if timeouts.response_s == NEVER_S:
            due_s = NEVER_S
        return _silent(min(due_s, total_due_s), due_s, TIMER_RESPONSE, now=now)
    if standing.acked_s == 0.0:
        limit_s = stall_limit_s(timeouts.stall_s, standing.rto_s, tuning)
        return _sending(timeouts, standing, limit_s, total_due_s, now=now)
    return _waiting(timeouts, standing, total_due_s, now=now)


def stall_limit_s(stall_s: float, rto_s: float, tuning: Tuning = DEFAULT) -> float:
    """How long nothing may be acknowledged on a connection whose RTO, before back-off, is `rto_s`."""
    return max(stall_s, tuning.stall_rtos * rto_s)


def _sending(
    timeouts: Timeouts, standing: Standing, limit_s: float, total_due_s: float, *, now: float
) -> Judgement:
    if limit_s == NEVER_S:
        return Judgement(Action.WAIT, total_due_s)
    due_s = min(standing.progress_s + limit_s, total_due_s)
    judgement = _silent(due_s, standing.progress_s + max(PATIENCE_S, limit_s), TIMER_STALL, now=now)
    # By the next look all bytes may be acknowledged, which ends this phase.
    if judgement.action is Action.WAIT:
        return Judgement(Action.WAIT, min(due_s, now + timeouts.look_s), TIMER_STALL)
    return judgement


def _waiting(timeouts: Timeouts, standing: Standing, total_due_s: float, *, now: float) -> Judgement:
    # One copy is enough: a request that got lost twice was not lost by chance.
    hedge_due_s = NEVER_S if standing.hedged else standing.acked_s + timeouts.hedge_s
    response_due_s = min(standing.acked_s + timeouts.response_s, total_due_s)
    if hedge_due_s <= now < response_due_s:
        return Judgement(Action.HEDGE, response_due_s)
    if now < response_due_s:
        return Judgement(Action.WAIT, min(hedge_due_s, response_due_s))
    patience_s = NEVER_S if timeouts.response_s == NEVER_S else standing.acked_s + PATIENCE_S
    return _silent(response_due_s, patience_s, TIMER_RESPONSE, now=now)


def _silent(due_s: float, patience_due_s: float, timer: str, *, now: float) -> Judgement:
    if now >= patience_due_s:
        return Judgement(Action.CUT, now, timer)
    if now >= due_s:
        # While a store is away hundreds wait for that: all are due together, and not each at its own moment.
        return Judgement(Action.CUT_IF_CREDIT, CREDIT_S * (now // CREDIT_S + 1.0), timer)
    return Judgement(Action.WAIT, due_s, timer)

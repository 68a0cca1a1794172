"""What a console shows: frozen views, each the latest truth about one screen.

The engine computes every number here; a screen only draws. A view is replaced whole
(at most 4 Hz), so a console that missed one has lost nothing. Times are aware UTC;
money is in dollars, ``*_pct`` in percent, ages and durations in wall seconds.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict


class View(BaseModel):
    # JSON has no infinity: one that crossed would be null at the console, which refuses it and hangs up.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LinkView(View):
    """A stream or the broker: off, connecting, live, stale, refused, down."""

    state: Literal["off", "connecting", "live", "stale", "refused", "down"] = "off"
    age_s: float | None = None  # since the last message
    latency_ms: float | None = None
    detail: str = ""


class StatusView(View):
    """The strip that never leaves."""

    mode: Literal["sim", "paper", "live"] = "sim"
    account: str = ""
    pid: int = 0
    home: str = ""
    broker: LinkView = LinkView()
    prices: LinkView = LinkView()
    orders: LinkView = LinkView()
    watchdog: str = ""  # "372 of 86400 s, 0 %": budget used; "" when no search runs
    market_time: datetime | None = None
    clock_rate: float = 1.0  # market seconds per wall second
    market_open: bool = False
    next_event: str = ""
    next_event_at: datetime | None = None  # market time
    equity: Decimal | None = None
    day_pnl: Decimal | None = None
    day_pnl_pct: float | None = None
    account_age_s: float | None = None  # of what is said of the account: equity, day, cash, buying power
    account_stale: bool = False  # ... and that is older than it should be
    exposure: Decimal | None = None  # market value of all positions
    positions_open: int = 0
    orders_open: int = 0
    latched: str = ""  # reason while entries are latched off
    drift: tuple[str, ...] = ()  # where the engine and the broker, or today and the training week, disagree
    cycles: int = 0  # training cycles that a weekend run does unless told otherwise
    search_budget_s: float = 0.0  # wall seconds, likewise
    kernels: str = ""  # "compiling kernels 7/14" at first use, "" when ready

    @property
    def known(self) -> bool:
        """False until an engine has filled it: mode, positions and market are defaults then, not facts."""
        return self.pid != 0


class DayTile(View):
    day: date
    title: str
    lines: tuple[str, ...] = ()
    state: Literal["past", "present", "future", "no_trade", "failed"] = "future"
    done: float = 0.0  # fraction of the day that has passed, market time


class TrackMark(View):
    """One moment of the trading day that is under way or comes next."""

    at: datetime  # market time
    text: str
    state: Literal["past", "next", "future"] = "future"
    done: bool = True  # of a past one: False when its hour came and what belongs to it did not happen


class NextItem(View):
    at: datetime | None = None  # market time
    text: str
    active: bool = False


class AlertView(View):
    key: str
    at: datetime  # of the last time it was raised
    text: str
    acknowledged: bool = False
    severity: Literal["notice", "warning", "critical"] = "warning"
    count: int = 1  # how often it was raised
    over: bool = False  # its reason is gone
    rings: int = 0  # how often the attached consoles were asked to tell it; a rise is a request
    ring_notice: bool = False  # ... with a desktop notification
    ring_bell: bool = False  # ... with the bell

    @property
    def waiting(self) -> bool:
        """Whether somebody must acknowledge it."""
        return not self.acknowledged and not self.over


class HealthRow(View):
    """One part of the machine with what was measured; a part that is not measured has no row."""

    name: str
    state: Literal["good", "watch", "bad", "off"] = "good"
    value: str  # the number with its unit
    detail: str = ""


class StageView(View):
    """One stage of the present or last run."""

    stage: str
    state: Literal["waiting", "running", "paused", "done", "failed"] = "waiting"
    seconds: float = 0.0
    progress: float | None = None  # fraction 0..1
    detail: str = ""


class ForwardRow(View):
    """One week's verdict of one group in the forward ledger; excess in percent a day."""

    week: date
    group: Literal["A", "B"]
    source: str  # live, paper, sim, walk-forward
    sessions: int  # judged
    possible: int | None = None  # sessions of the week so far; None: not known
    candidates: int
    pp_excess: float
    pp_error: float | None = None
    tsh_excess: float
    tsh_error: float | None = None
    traded: int = 0  # names that were really bought
    traded_live_excess: float | None = None  # of those, from their fills; None: none sold within its day


class GradeView(View):
    """What the evidence says of the group that trades; excess in percent a day by TSH's pessimistic path, net."""

    grade: Literal["", "A", "B", "C", "D"] = ""  # "": no group is selected
    weeks: int = 0  # of the forward ledger that count in this mode
    mean: float | None = None  # over those weeks
    low_95: float | None = None  # one-sided bounds of the mean; None below two weeks
    low_80: float | None = None
    high_80: float | None = None
    pp_mean: float | None = None  # the same weeks by PP
    needed: int | None = None  # more weeks until a verdict, of an undecided one
    advised: float = 0.0  # share of the usual size with real money: 1, one half, 0
    factor: float = 1.0  # what multiplies the allocation in this mode
    against: bool = False  # to trade now needs a word of its own: live, and the advice is not to
    text: str = ""  # grade, weeks, advice in a line
    reason: str = ""
    left_out: str = ""  # weeks that do not count because sessions of them are not judged


class OverviewView(View):
    week: tuple[DayTile, ...] = ()
    track: tuple[TrackMark, ...] = ()  # the day's moments, from the list to the close
    next: tuple[NextItem, ...] = ()
    stages: tuple[StageView, ...] = ()
    cash: Decimal | None = None
    buying_power: Decimal | None = None
    day_low_pct: float | None = None  # the lowest day P&L that was seen, kept over restarts of the engine
    day_low_name: str = "day low"  # what it may be called: "low since 14:00" when nobody looked before
    day_track: tuple[float, ...] = ()  # the day's P&L in percent, evenly sampled since the engine started
    evidence: tuple[str, ...] = ()
    grade: GradeView = GradeView()
    forward: tuple[ForwardRow, ...] = ()  # oldest week first
    alerts: tuple[AlertView, ...] = ()
    health: tuple[HealthRow, ...] = ()


class AlgorithmRow(View):
    name: str
    tested: int = 0
    space: int = 0
    best: float | None = None  # score, percentage points
    top100: float | None = None  # mean score of the best 100
    trend: tuple[float, ...] = ()  # best score after each sampled cycle
    median: float | None = None  # score of all tested, percentage points: whether what is proposed gets better
    median_trend: tuple[float, ...] = ()  # the same after each sampled cycle
    buys_day: float | None = None  # of the best
    worst_day: float | None = None  # mean excess of the best's worst day, percent
    best_parameters: str = ""


class TrainingView(View):
    state: Literal["idle", "running", "paused", "stopping", "done", "failed"] = "idle"
    backend: str = "native"
    cycle: int = 0
    cycles: int = 0
    kernel_ms: float | None = None
    cycle_ms: float | None = None
    eta_s: float | None = None
    evaluations_per_s: float | None = None
    distinct: int = 0
    batches: tuple[tuple[bool, ...], ...] = ()  # [day][batch] done in the present cycle
    algorithms: tuple[AlgorithmRow, ...] = ()
    detail: str = ""
    # The workbook backend: which office, how many of it, how fast, how many had to be replaced.
    office: str = ""
    instances: int = 0
    tickers_per_s: float | None = None
    restarts: int = 0
    # Cross-checks of the two backends (training.verify).
    verified: int = 0  # batches computed by both
    ties: tuple[str, ...] = ()  # differences that rounding explains, each in one line


class LaneView(View):
    """One search thread; all times in thread-seconds: granted + received = used + donated + what it holds."""

    thread: int
    anchor: str = ""
    depth: int = 0
    max_depth: int = 0
    tests_per_s: float = 0.0
    granted: float = 0.0
    used: float = 0.0
    donated: float = 0.0  # given back, without what it took again itself
    received: float = 0.0  # from others and from the budget
    state: str = ""  # searching, waiting, done, paused
    stall_s: float = 0.0


class FlowView(View):
    """Search time that went from one to another; ``at_s``: search seconds when it happened last."""

    giver: str  # a thread's number, or "budget"
    taker: str  # a thread's number, "shuffles" or "saved"
    seconds: float  # thread-seconds
    times: int = 1
    at_s: float = 0.0


class GapPoint(View):
    """Scores in percentage points; the gap is what lies between ``threshold`` and ``bound``."""

    at_s: float  # search seconds
    incumbent: float | None = None
    threshold: float | None = None  # the worst of the best groups that are kept: what a new one must beat
    bound: float | None = None


class LedgerView(View):
    """open_grants + used + pool = capacity, thread-seconds."""

    open_grants: float = 0.0
    used: float = 0.0
    pool: float = 0.0
    capacity: float = 0.0
    evidence: float = 0.0  # part of used: what the shuffled searches took
    saved: float = 0.0  # left when all had ended


class GroupRow(View):
    rank: int
    selected: int | None = None  # 1 trades, 2 runs in shadow
    score: float = 0.0  # search objective, percentage points
    selection_score: float | None = None
    mean_day: float = 0.0  # mean excess, percent a day
    worst_day: float = 0.0
    picks_day: float = 0.0
    members: str = ""
    holdout: str = ""  # "+0.12 ± 0.08 %/day"
    holdout_mean: float | None = None  # percent a day; None: not measured, or no picks
    holdout_error: float | None = None  # standard error over days
    holdout_picks: int = 0
    overlap: float | None = None  # Jaccard of 5-day picks with the selected first
    p_value: float | None = None  # against shuffled weeks; None: not measured
    shuffles_reached: int | None = None  # shuffled weeks that did as well, of those that count; None: not kept
    shuffles_done: int | None = None
    luck: str = ""  # the same in plain words
    judgement: str = ""  # what p and hold-out say together, in a sentence
    verdict: str = ""


class GroupsView(View):
    state: Literal["idle", "running", "paused", "stopping", "done", "failed"] = "idle"
    budget_s: float = 0.0
    elapsed_s: float = 0.0
    incumbent: float | None = None
    bound: float | None = None
    gap: float | None = None  # between the bound and the worst group kept; the best is above that one
    proven: bool = False
    anchors_closed: int = 0
    anchors: int = 0
    visited: int = 0  # frequent groups
    tests: int = 0
    tests_per_s: float = 0.0
    curve: tuple[GapPoint, ...] = ()
    lanes: tuple[LaneView, ...] = ()
    flows: tuple[FlowView, ...] = ()  # the latest, oldest first
    flow_totals: tuple[FlowView, ...] = ()  # between each two since the start, the largest first
    ledger: LedgerView = LedgerView()
    groups: tuple[GroupRow, ...] = ()
    shuffles: int = 0  # shuffled searches that the evidence lane plans; 0: none
    shuffles_done: int = 0
    shuffle_scores: tuple[float | None, ...] = ()  # of each shuffled week's best, in order; None: no group at all
    observed: float | None = None  # the real week's best, searched as the shuffled ones are; None: none
    detail: str = ""


class NewsLine(View):
    at: datetime
    headline: str
    source: str
    score: float
    label: str = "LEXICON"  # who gave the score of this one article
    id: int = 0


class QuoteLine(View):
    """Words of an article that a score rests on."""

    article: int
    text: str
    points: float | None = None  # what they add to the news score


class PromptLine(View):
    """One prompt's vote about one ticker."""

    prompt: str
    score: float | None = None  # -1..1; None: no score, ``reason`` says why
    label: str = ""  # the model
    weight: float = 0.0  # share in the news score
    outcome: str = ""  # scored, refused, malformed, unavailable, limit
    quotes: tuple[QuoteLine, ...] = ()
    reason: str = ""
    other: float | None = None  # score of the variant without a vote (names masked, or shown)
    version: str = ""
    record: int = 0  # its decision record in the journal


class ShortlistRow(View):
    rank: int
    symbol: str
    name: str = ""
    score: float = 0.0  # combined, 0..1
    rank_score: float = 0.0
    parts: dict[str, float] = {}  # contribution of each part of the rank
    month_pct: float | None = None  # mean open-to-close of the last 21 sessions, percent a day
    sparkline: tuple[float, ...] = ()  # closes of the last 21 sessions, dollars
    close: float = 0.0
    news_score: float | None = None  # -1..1; None: no news
    news_label: str = "LEXICON"
    news: tuple[NewsLine, ...] = ()
    quotes: tuple[QuoteLine, ...] = ()  # the words behind the news score, strongest first
    prompts: tuple[PromptLine, ...] = ()  # empty when the lexicon scored
    events: tuple[str, ...] = ()  # earnings, halt, offering, merger, split
    flags: tuple[str, ...] = ()
    reason: str = ""
    chosen: bool = False
    veto: str = ""


class ShortlistView(View):
    state: Literal["none", "pending", "approved", "rejected", "expired", "empty"] = "none"
    session: date | None = None  # the session that would be traded
    signal_day: date | None = None
    group: str = ""
    candidates: int = 0
    expected: float | None = None  # candidates that the training days promise for this universe
    drift: str = ""  # why the count is alarming, "" otherwise
    rows: tuple[ShortlistRow, ...] = ()
    vetoed: tuple[str, ...] = ()  # "ABC: top 2 % by ATR%"
    list_hash: str = ""
    deadline: datetime | None = None  # market time
    valid_until: datetime | None = None
    approved_by: str = ""
    previous: tuple[str, ...] = ()  # the symbols of the last session's list
    previous_session: date | None = None  # which session that was
    previous_outcome: str = ""  # approved, rejected, expired; "" when there was no list
    detail: str = ""


class PositionRow(View):
    symbol: str
    shares: int = 0
    entry: Decimal | None = None
    last: Decimal | None = None
    age_s: float | None = None
    stale: bool = False
    source: str = "stream"  # stream or rest
    high: Decimal | None = None
    stop: Decimal | None = None  # the highest price at which the trailing stop sells, once armed
    resting_stop: Decimal | None = None  # protective stop that is open at the broker: works without the engine
    arm: Decimal | None = None
    target: Decimal | None = None
    state: str = ""  # ENTERING, WATCH, ARMED, EXITING, CLOSED, REFUSED, CARRIED
    pnl: Decimal | None = None
    pnl_pct: float | None = None
    why_next: str = ""
    exits_when: str = ""  # the same in a few signs, "" where ``why_next`` is short already


class OrderRow(View):
    at: datetime
    symbol: str
    side: str
    shares: int
    filled: int = 0
    kind: str = ""
    price: Decimal | None = None
    status: str = ""
    client_order_id: str = ""
    foreign: bool = False


class PositionsView(View):
    session: date | None = None
    rows: tuple[PositionRow, ...] = ()
    orders: tuple[OrderRow, ...] = ()
    older_orders: int = 0  # ended ones of this session that are not among them: the journal has them
    foreign: tuple[str, ...] = ()
    realised: Decimal = Decimal(0)
    unrealised: Decimal = Decimal(0)
    allocation: Decimal | None = None


class FlattenRow(View):
    symbol: str
    shares: int
    step: str


class FlattenView(View):
    state: Literal["idle", "running", "flat", "queued", "failed"] = "idle"
    begun_at: datetime | None = None  # tells this flatten from an earlier one, which may have ended flat
    step: str = ""
    rows: tuple[FlattenRow, ...] = ()  # what was held at the last look
    looked: bool = False  # the broker has been seen by this run: only then has what is not in ``rows`` gone
    confirmations: int = 0
    exposure: Decimal | None = None
    positions: int = 0
    orders: int = 0
    market_open: bool = False
    expected_cost: Decimal | None = None  # half the spread of every position, dollars
    foreign: tuple[str, ...] = ()


class GateView(View):
    """One gate of the GO / NO-GO board; ``caution`` warns and does not stop."""

    gate: str
    name: str  # as a person calls it
    state: Literal["go", "caution", "waiting", "no_go"]
    measured: str
    limit: str = ""
    remedy: str = ""  # what to do; "" when it is GO
    until: datetime | None = None  # market time that the state hangs on


class BoardView(View):
    """May entries leave at the next open? Every gate with its number, and one verdict."""

    verdict: Literal["none", "go", "waiting", "no_go"] = "none"
    summary: str = ""  # the verdict in words: what is missing, or when the entries leave
    session: date | None = None
    opens_at: datetime | None = None  # market time
    window_end: datetime | None = None
    list_hash: str = ""
    symbols: tuple[str, ...] = ()
    per_name: Decimal | None = None  # dollars that a name may cost at most
    gates: tuple[GateView, ...] = ()
    at_the_open: str = ""  # what each name is asked then, with the limits


class EventView(View):
    """One journalled event as a console sees it."""

    seq: int
    at: datetime
    market_at: datetime | None = None
    kind: str
    level: str
    text: str
    data: dict[str, object] = {}


class Snapshot(View):
    """Everything at one moment; events with a larger ``seq`` follow on the same connection."""

    seq: int = 0
    status: StatusView = StatusView()
    overview: OverviewView = OverviewView()
    training: TrainingView = TrainingView()
    groups: GroupsView = GroupsView()
    shortlist: ShortlistView = ShortlistView()
    positions: PositionsView = PositionsView()
    flatten: FlattenView = FlattenView()
    board: BoardView = BoardView()
    events: tuple[EventView, ...] = ()  # the most recent, oldest first

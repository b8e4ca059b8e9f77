"""Twenty kinds of failure that only one imaginary company knows: its own exception classes, its own words.

Each kind is worded six times, as different jobs of that company would say it. Nothing here is in the rules or the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

FRAMES = (
    'Traceback (most recent call last):\n  File "/srv/jobs/main.py", line 41, in run\n    step()\n{said}',
    "[2031-02-03, 04:05:06 UTC] {{main.py:41}} ERROR - {said}\n"
    "[2031-02-03, 04:05:07 UTC] {{local_task_job_runner.py:200}} INFO - Task exited with return code 1",
    "[2031-02-03, 04:05:05 UTC] {{main.py:12}} INFO - batch 17 begins\n"
    "[2031-02-03, 04:05:06 UTC] {{taskinstance.py:100}} ERROR - Task failed with exception\n"
    'Traceback (most recent call last):\n  File "/srv/jobs/main.py", line 41, in run\n{said}',
)
LABELS = 3
"""Wordings of a kind that a person labels; the others stay unseen."""


class Kind(NamedTuple):
    """One kind of in-house failure."""

    name: str
    category: str
    transient: bool | None
    sayings: tuple[str, ...]

    def wordings(self) -> tuple[str, ...]:
        """The sayings as log excerpts."""
        return tuple(FRAMES[number % len(FRAMES)].format(said=said) for number, said in enumerate(self.sayings))


def _kind(name: str, category: str, transient: bool | None, module: str, *sayings: str) -> Kind:
    return Kind(name, category, transient, tuple(f"{module}: {saying}" for saying in sayings))


KINDS = (
    _kind(
        "period-sealed", "data_quality", False, "acme.ledger.LedgerFrozenProblem",
        "period 7 is sealed", "cannot book into sealed period 2031-01", "month end seal hit for ledger EU-3",
        "posting 8812 touches a sealed period", "seal of period 12 holds, 40 postings parked", "sealed: ledger US-1 period 3",
    ),
    _kind(
        "crane-parked", "infrastructure_failure", True, "acme.yard.CraneParked",
        "crane 4 sits in its night berth", "the hoist of crane 11 answered PARKED", "night berth taken by crane 2, no lift tonight",
        "hoist controller says PARKED for crane 9", "crane 7 will leave its berth at dawn", "berth lamp is amber for crane 3",
    ),
    _kind(
        "tariff-drift", "data_quality", False, "acme.tariff.TariffDrift",
        "tariff sheet B moved 14 basis points since noon", "sheet D drifted beyond its corridor", "corridor of sheet F left by 3 points",
        "drift of 22 points on tariff sheet A", "noon sheet and night sheet are 9 points apart", "sheet C outside its corridor at row 77",
    ),
    _kind(
        "feed-asleep", "missing_data", True, "acme.partners.FeedAsleep",
        "Bluebird has not woken since 03:00", "Bluebird feed sleeps, 0 envelopes tonight", "waited for Bluebird, envelope box still bare",
        "no envelope from Bluebird by curfew", "Bluebird asleep at curfew", "envelope box of Bluebird bare since 02:10",
    ),
    _kind(
        "lattice-knot", "database_performance", True, "acme.lattice.KnotFound",
        "two weavers pulled strand 19 at once", "strand 4 knotted between weaver a and weaver c", "weaver b yielded, knot on strand 7",
        "knot at strand 33, three weavers held", "weaver d and weaver e pulled strand 2", "strand 11 is knotted, weaver f yielded",
    ),
    _kind(
        "badge-faded", "authentication", False, "acme.gate.BadgeFaded",
        "badge of robot-7 faded on Friday", "the gate turned robot-2 around, faded badge", "robot-4 shows a badge of last season",
        "faded badge shown by robot-11", "gate C turned robot-8 around", "badge of last season at gate A by robot-3",
    ),
    _kind(
        "mirror-fog", "database_connectivity", True, "acme.mirror.MirrorFogged",
        "mirror south shows fog", "north mirror fogged while polishing", "all three mirrors are fogged, nothing to gaze into",
        "fog on mirror east after polishing", "gazing into mirror west ended in fog", "mirror south fogged twice",
    ),
    _kind(
        "curfew", "workflow_timeout", None, "acme.bell.CurfewRang",
        "the bell rang before act 3 was over", "curfew bell at 05:00, act 2 cut short", "act 5 cut short by the bell",
        "bell rang, two acts to go", "the curfew bell cut act 1 short", "act 4 was on stage when the bell rang",
    ),
    _kind(
        "map-stale", "configuration_error", False, "acme.atlas.AtlasOutdated",
        "atlas edition 9 draws no harbour 14", "harbour 3 moved since edition 7 of the atlas", "edition 5 was opened, harbour 8 needs 6",
        "atlas edition 4 draws no harbour 2", "harbour 11 is drawn in a later edition", "opened edition 8, harbour 5 needs 9",
    ),
    _kind(
        "harvest-green", "missing_data", True, "acme.orchard.HarvestGreen",
        "row 12 is still green", "picked nothing: orchard west green", "ripeness 0.31 in orchard south, come back later",
        "orchard east green at ripeness 0.2", "row 40 and row 41 still green", "nothing ripe in orchard north",
    ),
    _kind(
        "ledger-imbalance", "data_quality", False, "acme.finance.LedgerImbalanceError",
        "debits and credits differ by 0.02 EUR in batch 77", "batch 12 does not balance: 4 credits without debit",
        "refusing to close batch 31, credits exceed debits", "credits and debits of batch 8 differ by 120.50",
        "batch 90 cannot be closed out of balance", "2 debits without credit in batch 4",
    ),
    _kind(
        "settlement-rejected", "rate_limit", True, "acme.clearing.SettlementWindowFull",
        "clearing house takes no more settlements in this window", "settlement 81 deferred to the next clearing window",
        "window 3 is full, 12 settlements left over", "no more settlements in window 9", "settlement 5 failed: window full",
        "next clearing window opens in 12 min, 3 settlements left over",
    ),
    _kind(
        "vault-lease", "authentication", False, "acme.vaultlet.LeaseLapsed",
        "lease on item payroll-key lapsed at 04:00", "item crm-key: lease lapsed, renew it with the custodian",
        "custodian holds no lease for job orders", "lease for job billing lapsed", "renew the lease on item fx-key with the custodian",
        "error: custodian found a lapsed lease on item hr-key",
    ),
    _kind(
        "tenant-unprovisioned", "configuration_error", False, "acme.tenants.TenantNotProvisioned",
        "tenant 4411 has no workspace", "workspace of tenant blue was never provisioned", "provision tenant 17 before the first load",
        "tenant green has no workspace", "tenant 90 was never provisioned", "failed for tenant 3: provision its workspace",
    ),
    _kind(
        "optimizer-gave-up", "workflow_timeout", None, "acme.routing.OptimizerGaveUp",
        "no tour for van 12 after 500 rounds", "search for van 3 stopped at round 500", "gap of van 9 still 14 percent, giving up",
        "no tour for van 7 after 800 rounds", "gave up on van 1 with a gap of 9 percent", "stopped at round 300, van 6 has no tour",
    ),
    _kind(
        "scanner-offline", "infrastructure_failure", True, "acme.warehouse.ScannerGatewayError",
        "gateway of aisle 4 reports all scanners offline", "aisle 9: 12 scanners offline", "scanner 77 dropped off its gateway",
        "gateway of aisle 2 lost its scanners", "scanners of aisle 5 are offline again", "scanner 12 and 13 dropped off the gateway",
    ),
    _kind(
        "model-floor", "data_quality", False, "acme.scoring.ScoreBelowFloor",
        "uplift score 0.11 is below the floor of 0.20", "floor of 0.35 not met by churn scores", "champion kept: scores under the floor",
        "churn score 0.02 below floor 0.10", "scores under the floor for segment 4", "uplift floor not met in segment 9",
    ),
    _kind(
        "snapshot-pending", "missing_data", True, "acme.snapshots.SnapshotPending",
        "nightly snapshot of shop_eu is still pending", "snapshot shop_us has 3 of 9 chunks", "chunk 7 of snapshot shop_eu not landed yet",
        "snapshot of shop_uk still pending", "4 of 9 chunks of snapshot shop_eu landed", "failed early: snapshot shop_us pending",
    ),
    _kind(
        "mesh-partition", "network_connectivity", True, "acme.mesh.NeighbourSilent",
        "neighbour b2 has been silent for 4 gossip rounds", "gossip with c7 fell silent",
        "half of the neighbours are silent since round 80",
        "neighbour a1 silent for 9 gossip rounds", "gossip with d4 fell silent in round 12", "error in round 4: neighbours silent",
    ),
    _kind(
        "widget-contract", "code_error", False, "acme.widgets.WidgetContractBroken",
        "widget totals hands out 3 ports, 4 are wired", "port 2 of widget filter is wired twice", "widget join has an unwired port",
        "port 5 of widget totals is unwired", "widget split hands out 2 ports, 3 are wired", "widget join wired port 1 twice",
    ),
)  # fmt: skip


def labelled() -> Iterator[tuple[Kind, str]]:
    """The wordings that people label."""
    yield from ((kind, text) for kind in KINDS for text in kind.wordings()[:LABELS])


def unseen() -> Iterator[tuple[Kind, str]]:
    """The wordings that stay unseen."""
    yield from ((kind, text) for kind in KINDS for text in kind.wordings()[LABELS:])

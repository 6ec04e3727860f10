"""Protocol abuse: every attempt is made against the product's code, and every one must be refused.

What is honest must go through, or refusing would be no merit.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from frag.protocols import Progress
from server.audit.abuse import frames, handshake, secure_sum, trust, updates
from server.audit.abuse.case import Case, is_refused
from server.audit.report import AuditSettings, Outcome, Report, verdict
from server.audit.statistics import clopper_pearson


def run(settings: AuditSettings, progress: Progress) -> Report:
    """All attempts; the quick run makes all of them too."""
    with tempfile.TemporaryDirectory(prefix="frag-audit-") as folder:
        groups = {
            "handshake": handshake.cases(),
            "frames": frames.cases(settings.seed),
            "secure sum": secure_sum.cases(),
            "roster": trust.cases(Path(folder)),
            "updates": updates.cases(),
        }
        outcomes, notes = [], []
        for done, (name, cases) in enumerate(groups.items()):
            progress(done, len(groups))
            outcome, passed = judged(name, cases)
            outcomes.append(outcome)
            notes += [f"{name}: {case} was not refused" for case in passed]
    return Report(attack="protocol", outcomes=outcomes, notes=notes)


def judged(group: str, cases: Sequence[Case]) -> tuple[Outcome, list[str]]:
    """The share that was refused, and the names of abuses that were not."""
    honest = [case for case in cases if case.honest]
    abuses = [case for case in cases if not case.honest]
    passed = [case.name for case in abuses if not is_refused(case)]
    num_honest = sum(not is_refused(case) for case in honest)
    num_refused = len(abuses) - len(passed)
    return Outcome(
        mode=group,
        figures={
            "attempts": len(abuses),
            "refused": num_refused / len(abuses),
            "honest": len(honest),
            "honest accepted": num_honest / len(honest),
        },
        intervals={"refused": clopper_pearson(num_refused, len(abuses))},
        claim="all refused, and what is honest accepted",
        verdict=verdict(held=not passed and num_honest == len(honest)),
    ), passed

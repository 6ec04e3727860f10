"""The kinds of result, in the order of the page: a title, what the figures are of, and the tables."""

from collections.abc import Callable
from typing import NamedTuple

from benchmarks import sections
from benchmarks.sections import Results


class Section(NamedTuple):
    title: str
    about: str
    show: Callable[[Results], str]


KINDS = {
    "fanout": Section(
        "Fan-out",
        "One question to all nodes and back, as the asker sees it. Coordinator and nodes are real processes; nodes "
        "answer filler, so that models and retrieval are left out. *Bare HTTP* is the least that asking as many "
        "servers costs, measured in turn with it.",
        sections.fanout,
    ),
    "first_event": Section(
        "First event",
        "From the request to the first server-sent event that the client has read, over an open connection. It says "
        "that the coordinator has the question, so that neither nodes nor models are in it.",
        sections.first_event,
    ),
    "inference": Section("Inference", "The built-in language model behind a node's worker.", sections.inference),
    "index": Section("Index", "Search among passages, one question at a time, beside others.", sections.index),
    "rounds": Section(
        "Summing a round", "Updates decoded, checked, summed and applied at the coordinator.", sections.rounds
    ),
    "secagg": Section(
        "Secure aggregation", "What a secret sum costs a node, everything signed and checked.", sections.secagg
    ),
    "sealed": Section("Sealed questions", "What sealing adds for each node; medians.", sections.sealed),
    "keywords": Section("Keywords over nodes", "Simulated with the product's own votes and noise.", sections.keywords),
    "steps": Section("A step of training", "By method and place, beside `peft`'s prompt tuning.", sections.steps),
    "train": Section(
        "Federated training",
        "Scores on questions that nobody trained on, with the passage that holds the answer; means over seeds, "
        "intervals are 95 % bootstraps. More in [Training](federated-training.md).",
        sections.train,
    ),
    "lifelong": Section(
        "Domains that arrive one after the other",
        "Average accuracy after the last arrival, and the mean fall of earlier domains from their best. More in "
        "[Continual rounds](continual.md).",
        sections.lifelong,
    ),
    "drift": Section("Drift", "Whether a node sees that its questions change.", sections.drift),
    "feedback": Section(
        "Corrections on one topic",
        "What a run on askers' corrections does to their topic and to the others, and what the gate decides.",
        sections.feedback,
    ),
    "privacy": Section(
        "Answer modes",
        "Token F1 of answers by mode: few questions, wide intervals. `dp` names ε and how many answers share it; "
        "*unbounded* has no limit on votes; *n units agree* puts the right paragraph into n units of one node. What "
        "modes promise is in [Privacy](privacy.md).",
        sections.privacy,
    ),
    "pii": Section(
        "Redaction",
        "Personal data found in synthetic texts. A fifth of the templates was never looked at by whoever wrote the "
        "recognisers. Nothing is complete.",
        sections.pii,
    ),
    "attack": Section(
        "Attacks",
        "Shares of attempts, 95 % intervals in brackets; those of wide tables are in the files. `held` says that the "
        "attack did not break a promise, `measured` that nothing is promised. More in [Audit](audit.md).",
        sections.attack,
    ),
}

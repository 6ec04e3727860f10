"""Hand-written and few-shot prompt templates: what trained prompts have to beat. Their examples are invented."""

from collections.abc import Mapping

from frag.types import Template

_FEW_SHOT = (
    (
        "The Harrow Bridge was opened in 1931 by Mayor Ellen Stroud. It replaced a ferry.",
        "When was the Harrow Bridge opened?",
        "1931",
    ),
    (
        "Lichens grow slowly. Most species add less than a millimetre a year, so old walls carry the largest ones.",
        "How much do most lichens grow in a year?",
        "less than a millimetre",
    ),
    (
        "The court of Verin sat in the old granary, since its own house had burnt down in the siege.",
        "Where did the court of Verin sit?",
        "the old granary",
    ),
)

TEMPLATES: Mapping[str, Template] = {
    "default": Template(),
    "copy": Template(
        instruction="Copy the shortest phrase of the context that answers the question. Write nothing else."
    ),
    "extract": Template(
        instruction="You extract answers. Reply with only a name, number, date or short phrase from the context."
    ),
    "terse": Template(instruction="Answer with at most five words, taken from the context. No sentence."),
    "few_shot": Template(
        instruction="Answer each question with the shortest phrase of its context.", examples=_FEW_SHOT
    ),
    "few_shot_plain": Template(examples=_FEW_SHOT),
}
"""Candidates for federated validation, by name."""

"""`frag privacy`: plan a budget before anything is spent."""

import json
import logging
import math
from typing import Annotated

import typer

app = typer.Typer(help="Plan privacy budgets.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Delta = Annotated[float, typer.Option(min=1e-10, max=0.01, help="δ of the claim.")]


@app.callback()
def _group() -> None:
    """Plan privacy budgets."""


@app.command()
def epsilon(
    noise_multiplier: Annotated[float, typer.Option(help="σ: noise over clipping norm.")],
    sampling_rate: Annotated[float, typer.Option(help="q: share of units in a step.")],
    steps: Annotated[int, typer.Option(help="T.")],
    delta: Delta = 1e-5,
    *,
    as_json: AsJson = False,
) -> None:
    """ε of a DP-SGD plan, tight and by Rényi divergences."""
    from frag.privacy.accounting import epsilon_by_pld, epsilon_by_rdp, sampled_gaussian

    logging.getLogger("absl").setLevel(logging.ERROR)  # orders that do not converge are left out, which is sound
    plan = sampled_gaussian(noise_multiplier, sampling_rate, steps)
    found = {
        "epsilon_pld": round(epsilon_by_pld(plan, delta), 4),
        "epsilon_rdp": round(epsilon_by_rdp(plan, delta), 4),
        "delta": delta,
    }
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(f"ε = {found['epsilon_pld']:.4f} at δ = {delta:g} (by Rényi divergences {found['epsilon_rdp']:.4f})")


@app.command()
def training(
    units: Annotated[int, typer.Option(min=1, help="N: units of a node.")],
    batch: Annotated[int, typer.Option(min=1, help="B: expected units of a step.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="R: rounds of the job.")] = 10,
    steps: Annotated[int, typer.Option(min=1, help="E: steps of a node in a round.")] = 20,
    noise: Annotated[float | None, typer.Option(help="σ: noise over clipping norm.")] = None,
    epsilon: Annotated[float | None, typer.Option(help="A budget, to be told the noise that it needs.")] = None,
    delta: Delta = 1e-5,
    *,
    as_json: AsJson = False,
) -> None:
    """ε of a job with record-level privacy at one node, or the noise that keeps it within a budget."""
    from frag.errors import BadRequestError
    from frag.privacy.accounting import noise_within, plan_epsilon

    if (noise is None) == (epsilon is None):
        raise BadRequestError("Either the noise or the budget is to be found.", "Give --noise or --epsilon.")
    if batch > units:
        raise BadRequestError(f"A step cannot have {batch} of {units} units.", "Use a smaller --batch.")
    rate = batch / units
    sigma = (
        noise if noise is not None else math.ceil(100 * noise_within(epsilon or 0.0, rate, rounds * steps, delta)) / 100
    )
    found = {
        "noise_multiplier": sigma,
        "sampling_rate": rate,
        "steps": rounds * steps,
        "epsilon_pld": plan_epsilon(sigma, rate, rounds * steps, delta),
        "delta": delta,
    }
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(
        f"σ = {sigma:g}, q = {rate:.4f}, {rounds * steps} steps: ε = {found['epsilon_pld']:.4f} at δ = {delta:g}"
    )
    if delta * units > 1:
        typer.echo(f"δ is over 1 in {units:,} units: nodes refuse it")


@app.command()
def decoding(
    epsilon: Annotated[float, typer.Option(help="ε of all questions together.")],
    references: Annotated[int, typer.Option(min=1, help="S: the divisor of the references' votes.")] = 8,
    tokens: Annotated[int, typer.Option(min=1, help="T: length of an answer.")] = 64,
    temperature: Annotated[float, typer.Option(help="τ.")] = 1.1,
    questions: Annotated[int, typer.Option(min=1, help="Answers that the budget is for.")] = 1,
    delta: Delta = 1e-5,
    *,
    as_json: AsJson = False,
) -> None:
    """The clip C that a budget allows in DP decoding."""
    from frag.privacy.accounting import allowed_clip, rho_within

    rho = rho_within(epsilon, delta)
    clip = allowed_clip(rho / questions, references, temperature, tokens)
    clip = math.floor(clip * 1e4) / 1e4  # never more than the budget allows
    found = {"clip": clip, "rho": rho, "rho_per_token": rho / questions / tokens, "delta": delta}
    if as_json:
        typer.echo(json.dumps(found))
        return
    shown = math.floor(clip * 100) / 100
    typer.echo(f"C = {shown:.2f}: each of {references} references moves a logit by at most {clip / references:.3f}")
    typer.echo(
        f"ρ = {rho:.4f} for ε = {epsilon:g} at δ = {delta:g}, {rho / questions:.4f} an answer of {tokens} tokens"
    )

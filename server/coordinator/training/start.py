"""Makes the weights that a job starts from, in a process of its own: the coordinator itself loads no torch for it."""

import asyncio
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from frag.errors import ModelError
from frag.models import Kind, locate
from frag.quantization import encode
from frag.settings import ModelSettings
from prompt_tuning.job import JobSettings

_LIMIT_S = 300.0


class StartInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the weights are for: fingerprints of base model, token layout and embedder (where it is read)."""

    base_model: str
    layout: str
    embedder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStart:
    """First weights of a job as safetensors, float32."""

    info: StartInfo
    weights: bytes = field(repr=False)


async def make_start(job: JobSettings, models: ModelSettings) -> JobStart:
    """Raises ModelError when the model is missing or the method does not fit it."""
    with tempfile.TemporaryDirectory(prefix="frag-start-") as folder:
        target = Path(folder) / "weights"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, job.model_dump_json(), models.model_dump_json(), str(target),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_LIMIT_S):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            said = err.decode(errors="replace").strip().splitlines()[-1:]
            raise ModelError(f"The job's first weights cannot be made: {' '.join(said)[:200]}", "Mend job or model.")
        content = await asyncio.to_thread(target.read_bytes)
        return JobStart(info=msgspec.json.decode(out, type=StartInfo), weights=content)


def main() -> None:
    """Arguments: job and models as JSON, and where the weights go. Prints a StartInfo."""
    from prompt_tuning.language_model import TransformersLanguageModel
    from prompt_tuning.trainable import Trainable

    job, models = JobSettings.model_validate_json(sys.argv[1]), ModelSettings.model_validate_json(sys.argv[2])
    model = TransformersLanguageModel(locate(models.language_model, Kind.LANGUAGE_MODEL), threads=models.threads)
    width, embedder = 0, ""
    if job.method.kind == "generator":
        from server.node.assembly import load_embedder

        loaded = load_embedder(models)
        width, embedder = loaded.dimension, loaded.fingerprint
    weights = Trainable(model, job.method, job.template).initial(seed=job.seed, vector_width=width)
    Path(sys.argv[3]).write_bytes(encode(weights))
    info = StartInfo(base_model=model.fingerprint, layout=model.layout.fingerprint, embedder=embedder)
    sys.stdout.buffer.write(msgspec.json.encode(info))


if __name__ == "__main__":
    main()

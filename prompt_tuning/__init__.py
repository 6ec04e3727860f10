"""The language model and what is trained on it. Knows nothing of retrieval, networks or processes: only `frag`.

    model = TransformersLanguageModel(locate("smollm2-135m-instruct", Kind.LANGUAGE_MODEL))
    [answer] = model.generate([GenerationRequest(question="Who keeps the keys?", passages=("The porter does.",))])

from `prompt_tuning.language_model`, `frag.models` and `frag.types`. Importing this package loads no torch.
"""

"""Model files: which are built in, how they are fetched and verified, where they lie.

A model is named by a built-in name, a local folder or a Hugging Face id. Only `pull` uses the network; `locate`
and `status` read the disk. Nothing here knows how a model is run.
"""

from frag.models.cache import Row, State, cache_folder, locate, model_folder, status
from frag.models.pulling import Convert, pull
from frag.models.registry import BUILT_IN, BuiltInModel, Kind

__all__ = [
    "BUILT_IN",
    "BuiltInModel",
    "Convert",
    "Kind",
    "Row",
    "State",
    "cache_folder",
    "locate",
    "model_folder",
    "pull",
    "status",
]

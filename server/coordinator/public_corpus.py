"""The coordinator's public documents as one more node, without a network in between."""

import frag
from frag.errors import FragError
from frag.types import NodeAnswer
from server.coordinator.links import NodeFailedError, Question, ask_message
from server.node.parts import Answers
from server.wire.messages import Ready


class LocalLink:
    """A NodeLink to answering in this process. Reads the disk once, when it is made."""

    def __init__(self, node_id: str, answers: Answers) -> None:
        self._node_id = node_id
        self._answers = answers
        modes, fingerprint, num_documents = answers.describe()
        self._ready = Ready(
            version=frag.__version__,
            answer_modes=modes,
            embedder_fingerprint=fingerprint,
            num_documents=num_documents,
        )

    @property
    def node_id(self) -> str:
        return self._node_id

    @property
    def ready(self) -> Ready:
        return self._ready

    async def ask(self, question: Question) -> NodeAnswer:
        """Raises NodeFailedError when answering fails."""
        try:
            return await self._answers.answer(ask_message(0, question))
        except FragError as error:
            raise NodeFailedError(error.code) from error

    async def close(self) -> None:
        """Nothing to close: the application owns the answering."""

"""Ask, stream and train from Python: the one place in `frag` that speaks HTTP.

```python
from frag.client import SyncClient

with SyncClient("http://127.0.0.1:8470", key="frag_…") as frag:
    answer = frag.ask("How long is the waiting time for an MRI?")
    for event in frag.stream("And for a CT?", aggregation="synthesize"):
        print(event)
    job = frag.wait(frag.train("job.toml").job_id)
```

`Client` is the same with `async`. Knows nothing of nodes, indices or models.
"""

from frag.client.client import Client
from frag.client.events import Accepted, Aggregated, Done, Event, NodeReplied, Routed, Settled, Token
from frag.client.sync import SyncClient
from frag.client.views import Answer, Citation, FeedbackTaken, Job, NodeAnswer, NodeInfo, Prompt, Round
from frag.errors import CoordinatorError

__all__ = [
    "Accepted", "Aggregated", "Answer", "Citation", "Client", "CoordinatorError", "Done", "Event", "FeedbackTaken",
    "Job", "NodeAnswer",
    "NodeInfo", "NodeReplied", "Prompt", "Round", "Routed", "Settled", "SyncClient", "Token",
]  # fmt: skip

"""The same plan on many machines with Ray: the driver plans, claims and keeps; workers ask and own nothing.

The driver hands *parts* of the plan to worker processes. A worker asks its part with the ordinary runner and sends back *shards*,
JSON Lines of finished calls, as they come. The driver writes each shard atomically under the hash of its request ids, merges it into
the study, and deletes it. Merging twice changes nothing, so a shard that a dead driver left behind is merged at the next start. A
worker that dies costs what it had in flight: the rest of its part goes to another. No worker opens the study.
"""

from cvalues.distributed.driver import Cluster, Driver

__all__ = ["Cluster", "Driver"]

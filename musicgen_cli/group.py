"""Processes that learn one model together, as torchrun starts them; a process by itself is a group of one."""

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from musicgen_cli.errors import MusicgenError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]

T = TypeVar("T")
MEETING = 600  # seconds, at most, until all have met
WAIT = timedelta(days=1)  # at most, for the others: what the first process does alone may take long
TRANSPORT = re.compile("gloo|nccl", re.I)  # names itself in what it says when a process is gone
GONE = "another of the processes that train together is gone; --resume goes on from the last checkpoint"


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Belong to the group that RANK and WORLD_SIZE describe, if they do: by NCCL on GPUs, by Gloo on CPUs.

    The first process talks for all. Of all that fail the first tells why, and the others end without a word.
    """
    if not {"RANK", "WORLD_SIZE"} <= os.environ.keys():
        yield
        return
    import torch.distributed as dist
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]
    from torch.distributed.rendezvous import rendezvous

    try:
        store, own, processes = next(rendezvous("env://"))
        failures = store
        if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            failures, store = store, _of_this_attempt(store, own)
            failures = PrefixStore(f"musicgen at {store.port}", failures)  # which outlives the first process
        dist.init_process_group(timeout=WAIT, store=store, rank=own, world_size=processes)
    except (ValueError, RuntimeError) as error:
        cause = str(error).splitlines()[0]
        raise MusicgenError(f"no group as RANK and WORLD_SIZE describe it: {cause}; torchrun makes one") from None
    said = os.dup(2)
    if own:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        yield
    except Exception as error:
        if not _is_first(failures):
            raise SystemExit(1) from None
        os.dup2(said, 2)
        if isinstance(error, RuntimeError) and TRANSPORT.search(f"{type(error).__name__}: {error}"):
            raise MusicgenError(f"{GONE} ({str(error).splitlines()[0]})") from error
        raise
    dist.destroy_process_group()


def _of_this_attempt(agent: "Store", own: int) -> "TCPStore":
    """A store where the group meets: torchrun's own still holds addresses of processes that it has replaced."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    host = os.environ["MASTER_ADDR"]
    if not own:
        store = TCPStore(host, 0, is_master=True, wait_for_workers=False)
        agent.set("musicgen", str(store.port))
        return store
    deadline = time.monotonic() + MEETING
    while time.monotonic() < deadline:
        port = int(agent.get("musicgen"))
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=10):
            return TCPStore(host, port, wait_for_workers=False)
        time.sleep(0.1)  # the first process, too, starts anew
    raise MusicgenError(
        f"{host}:{port} was not reached within {MEETING // 60} minutes: there the first of the processes waits for all;"
        " let every machine reach the ports of the first one"
    )


def _is_first(store: "Store") -> bool:
    """Whether no other process of the group has failed; one that has taken the store with it has."""
    try:
        return int(store.add("failed", 1)) == 1
    except RuntimeError:
        return False


def there() -> bool:
    """Whether this process has joined a group, be it of one."""
    import torch.distributed as dist

    return dist.is_available() and dist.is_initialized()


def restarted() -> bool:
    """Whether torchrun has started the group anew, since one of its processes failed."""
    return there() and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def rank() -> int:
    """The number of this process, from 0, which is the one that talks, scores and saves."""
    import torch.distributed as dist

    return dist.get_rank() if there() else 0


def size() -> int:
    """How many processes there are."""
    import torch.distributed as dist

    return dist.get_world_size() if there() else 1


def shared(make: Callable[[], T]) -> T:
    """What the first process makes, in all of them; the others wait for it."""
    import torch
    import torch.distributed as dist

    if not there():
        return make()
    made = [None if rank() else make()]
    dist.broadcast_object_list(made, device=torch.device("cpu"))
    return made[0]  # type: ignore[return-value]


def most(number: int) -> int:
    """The largest of the numbers that the processes have."""
    import torch
    import torch.distributed as dist

    if not there():
        return number
    largest = torch.tensor(number)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def total(values: "Tensor") -> "Tensor":
    """The sum over all processes, in place; on a GPU nobody waits for it."""
    import torch.distributed as dist

    if size() > 1:
        dist.all_reduce(values)
    return values


def spread(module: "nn.Module") -> "nn.Module":
    """The module, such that its gradients become the means over all processes as they are found."""
    if size() == 1:
        return module
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(module, static_graph=True)  # some weights may go unused

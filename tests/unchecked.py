"""Checkpoints as somebody would write them who has read how: what `checkpoint.save` refuses to write, too."""

import io

import torch

from musicgen_cli import archive, checkpoint


def written(values: dict[str, object]) -> bytes:
    """A checkpoint of these values, whatever they are, with the right digest."""
    values = {name: value for name, value in values.items() if name not in ("format", "version", "digest")}
    file = io.BytesIO()
    digest, _ = archive.digest(checkpoint.arrays(values))
    torch.save({"format": checkpoint.FORMAT, "version": checkpoint.VERSION, "digest": digest, **values}, file)
    return file.getvalue()

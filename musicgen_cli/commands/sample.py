from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from musicgen_cli.commands.options import Device, Output, Precision, Quiet, Threads, use
from musicgen_cli.errors import MusicgenError
from musicgen_cli.streams import PIPE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from musicgen_cli.checkpoint import Checkpoint
    from musicgen_cli.corpus import Song

DEFAULT_BARS = 32
MAX_STEPS = 1 << 24  # of one run, over all songs: three gigabytes while they are made


def sample(
    model: Annotated[Path, typer.Argument(help="A checkpoint; - is stdin.", allow_dash=True)] = Path("model.pt"),
    output: Output = PIPE,
    length: Annotated[int | None, typer.Option(min=1, help="Steps to make; default: 32 bars.")] = None,
    bars: Annotated[int | None, typer.Option(min=1, help="The same in bars.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Songs to make, in one pass.")] = 1,
    start: Annotated[
        Literal["zeros", "random"], typer.Option(help="Without a prime: silence, or a random hidden state.")
    ] = "zeros",
    prime: Annotated[
        Path | None, typer.Option(help="Go on from this music: a corpus or a MIDI file; - is stdin.", allow_dash=True)
    ] = None,
    song: Annotated[str | None, typer.Option(help="Which song of the prime, by name or number from 1.")] = None,
    prime_steps: Annotated[int | None, typer.Option(min=1, help="Only the first steps of the prime.")] = None,
    include_prime: Annotated[
        bool, typer.Option("--include-prime", help="Write the prime before what follows it.")
    ] = False,
    temperature: Annotated[
        float, typer.Option(min=0, max=10, help="0 plays what is above the threshold; higher is freer, then random.")
    ] = 0.3,
    threshold: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="The output at which a bit is as likely set as not.")
    ] = 0.48,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Repeats a song: song N has seed + N - 1. Default: a new one each time.")
    ] = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    threads: Threads = 0,
    quiet: Quiet = False,
) -> None:
    """Make new music with a trained model.

    Writes a corpus, one song a sample, for `musicgen decode`. Model, seed and settings are noted in each song.

    \b
    Examples:
      musicgen sample | musicgen decode -o out.mid
      musicgen sample small.pt --count 8 --bars 16 --seed 1 | musicgen decode -o out/
      musicgen sample --prime tune.mid --prime-steps 64 --include-prime | musicgen decode -o longer.mid
    """
    if length and bars:
        raise typer.BadParameter("--length and --bars say the same: leave one out.")
    if prime is None and (song or prime_steps or include_prime):
        raise typer.BadParameter("--song, --prime-steps and --include-prime go with --prime.")
    if prime == model == PIPE:
        raise typer.BadParameter("standard input can be read once only.")
    import secrets

    import numpy as np
    import torch

    from musicgen_cli import corpus as corpora
    from musicgen_cli.commands.inputs import load_checkpoint
    from musicgen_cli.dataset import from_steps, pad
    from musicgen_cli.device import autocast, generator
    from musicgen_cli.sampling import generate, random_state, toss
    from musicgen_cli.streams import check_target, name_of, say
    from musicgen_cli.streams import output as open_output

    check_target(output)
    computer = use(device, threads)
    trained = load_checkpoint(model)
    about, begun = _prime(trained, prime, song, prime_steps)
    steps = length or (bars or DEFAULT_BARS) * trained.steps_per_bar
    if count * steps > MAX_STEPS:
        raise MusicgenError(
            f"{count} songs of {steps} steps are more than {MAX_STEPS} steps; make them in several runs"
        )
    seed = secrets.randbelow(1 << 31) if seed is None else seed

    with open_output(output) as file:
        network = trained.build(computer)
        source = pad(begun, trained.source).to(computer).expand(count, -1, -1)
        coins, states = ([generator(computer, seed + i, purpose) for i in range(count)] for purpose in range(2))
        draw = toss(trained.build_loss(), threshold, temperature, coins)
        with autocast(computer, precision), torch.inference_mode():
            state = random_state(network.encode(source), states) if start == "random" and not len(begun) else None
            made = generate(network, source, steps, trained.target, draw, state)

        songs = []
        for i, new in enumerate(made):
            roll = from_steps(new)
            roll = np.concatenate([begun, roll]) if include_prime else roll
            text = _text(trained, name_of(model), seed + i, temperature, threshold, start, about.name)
            songs.append((corpora.Song(f"sample-{i + 1}", about.tempo, about.time_signature, text), roll))
        corpora.save(corpora.gather(songs, trained.steps_per_quarter), file)
    say(f"made {count} x {steps} steps, --seed {seed}", quiet)


def _prime(
    trained: "Checkpoint", path: Path | None, song: str | None, steps: int | None
) -> tuple["Song", "NDArray[np.bool_]"]:
    """The song to go on from: what is known of it, and its roll on the grid of the model; without one, no steps."""
    import numpy as np

    from musicgen_cli.commands.inputs import music_like
    from musicgen_cli.corpus import Song
    from musicgen_cli.streams import naming

    if path is None:
        nothing = np.zeros((0, 88, 2) if trained.bits == 2 else (0, 88), bool)
        return Song("", trained.tempo, trained.time_signature), nothing
    music = music_like(path, trained.steps_per_quarter, trained.bits)
    with naming(path):
        if (music.bits, music.steps_per_quarter) != (trained.bits, trained.steps_per_quarter):
            raise MusicgenError(
                f"has {music.bits} bits a key and {music.steps_per_quarter} steps per quarter note, the model"
                f" {trained.bits} and {trained.steps_per_quarter}; encode it with --bits and --steps-per-quarter"
            )
        if song is None and len(music) > 1:
            raise MusicgenError(f"holds {len(music)} songs: choose one by --song NAME or --song N")
        i = music.find(song) if song else 0
        if not music.lengths[i]:
            raise MusicgenError(f"song {music.songs[i].name!r} is empty")
        return music.songs[i], music.roll(i)[:steps]


def _text(
    trained: "Checkpoint", model: str, seed: int, temperature: float, threshold: float, start: str, prime: str
) -> str:
    """How a sample was made, in a line for the MIDI file."""
    begun = f"--prime {prime}" if prime else f"--start {start}"
    return (
        f"musicgen sample {model} --seed {seed} --temperature {temperature:g} --threshold {threshold:g} {begun}"
        f"; {trained.model} with {trained.loss}, {len(trained.history)} epochs, musicgen {trained.musicgen}"
    )

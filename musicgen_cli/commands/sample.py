from pathlib import Path
from shlex import quote
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
SONGS_AT_ONCE, STEPS_AT_ONCE = 64, 1 << 20  # of one pass; more are made in several


def sample(
    model: Annotated[Path, typer.Argument(help="A checkpoint; - is stdin.", allow_dash=True)] = Path("model.pt"),
    output: Output = PIPE,
    length: Annotated[int | None, typer.Option(min=1, max=1 << 20, help="Steps to make; default: 32 bars.")] = None,
    bars: Annotated[int | None, typer.Option(min=1, max=1 << 16, help="The same in bars.")] = None,
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
        float,
        typer.Option(
            min=0, max=10, help="How gradual the threshold is: at 0 a hard limit, higher is freer, then random."
        ),
    ] = 0.3,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.01, max=0.99, help="Output at which a bit is set half the time; default: the model's own."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=1 << 62, help="Repeats a song: song N has seed + N - 1. Default: a new one each time."),
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
    if prime is not None and start == "random":
        raise typer.BadParameter("--prime and --start random begin in two ways: leave one out.")
    if prime == model == PIPE:
        raise typer.BadParameter("standard input can be read once only.")
    import secrets

    import numpy as np
    import torch

    from musicgen_cli import midi
    from musicgen_cli.commands.inputs import load_checkpoint
    from musicgen_cli.corpus import Song, Writer
    from musicgen_cli.dataset import from_steps, pad
    from musicgen_cli.device import autocast, generator
    from musicgen_cli.sampling import generate, random_state, toss
    from musicgen_cli.score import steps_per_bar
    from musicgen_cli.streams import check_target, counted, refuse_suffix, say
    from musicgen_cli.streams import output as open_output

    check_target(output, model, *([prime] if prime else []))
    refuse_suffix(output, ".pt", *midi.SUFFIXES)
    computer = use(device, threads)
    trained = load_checkpoint(model)
    about, begun = _prime(trained, prime, song, prime_steps, quiet)
    steps = length or (bars or DEFAULT_BARS) * steps_per_bar(about.time_signature, trained.steps_per_quarter)
    threshold = threshold or trained.threshold
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    how = [f"--length {steps}", f"--temperature {temperature}", f"--threshold {threshold}"]
    how += [f"--precision {precision}"] * (precision != "fp32")
    if prime:
        how += [f"--prime {quote(str(prime))} --song {quote(about.name)}"]
        how += [f"--prime-steps {prime_steps}"] * bool(prime_steps) + ["--include-prime"] * include_prime
    else:
        how += [f"--start {start}"]
    made_by = f"{trained.model} with {trained.loss}, {len(trained.history)} epochs, musicgen {trained.musicgen}"

    network, loss = trained.build(computer), trained.build_loss()
    source = pad(begun, trained.source).to(computer)
    at_once = max(1, min(SONGS_AT_ONCE, STEPS_AT_ONCE // steps))
    with open_output(output) as file:
        writer, silent = Writer(file, trained.steps_per_quarter), 0
        for first in range(0, count, at_once):
            seeds = [seed + i for i in range(first, min(first + at_once, count))]
            coins, states = ([generator(computer, own, purpose) for own in seeds] for purpose in range(2))
            primes = source.expand(len(seeds), -1, -1)
            with autocast(computer, precision), torch.inference_mode():
                state = random_state(network.encode(primes), states) if start == "random" else None
                draw = toss(loss, threshold, temperature, coins)
                made = generate(network, primes, steps, trained.target, draw, state)
            for own, new in zip(seeds, made):
                text = f"musicgen sample {quote(str(model))} --seed {own} {' '.join(how)}; {made_by}"
                name = f"sample-{own - seed + 1:0{len(str(count))}}"
                roll = from_steps(new)
                silent += not roll.any()
                roll = np.concatenate([begun, roll]) if include_prime else roll
                writer.add(Song(name, about.tempo, about.time_signature, text), roll)
        writer.finish()
    if silent:
        say(f"{counted(silent, 'song')} of {count} silent: lower --threshold, raise --temperature, or train longer")
    say(f"made {counted(count, 'song')} of {counted(steps, 'step')}, --seed {seed}", quiet)


def _prime(
    trained: "Checkpoint", path: Path | None, song: str | None, steps: int | None, quiet: bool
) -> tuple["Song", "NDArray[np.bool_]"]:
    """The song to go on from: what is known of it, and its roll on the grid of the model; without one, no steps."""
    import numpy as np

    from musicgen_cli.commands.inputs import check_grid, music_in
    from musicgen_cli.corpus import Song
    from musicgen_cli.streams import naming, say

    if path is None:
        nothing = np.zeros((0, 88, 2) if trained.bits == 2 else (0, 88), bool)
        return Song("", trained.tempo, trained.time_signature), nothing
    music = music_in(path, trained.steps_per_quarter, trained.bits)
    with naming(path):
        check_grid(music, trained)
        i = music.find(song or "1")
        if not music.lengths[i]:
            raise MusicgenError(f"song {music.songs[i].name!r} is empty")
    if song is None and len(music) > 1:
        say(f"going on from song 1 of {len(music)}, {music.songs[i].name}; --song chooses another", quiet)
    return music.songs[i], music.roll(i)[:steps]

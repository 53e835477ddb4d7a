from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from musicgen_cli.commands.options import Device, Output, Precision, Quiet, Threads, use
from musicgen_cli.errors import MusicgenError
from musicgen_cli.streams import PIPE

if TYPE_CHECKING:
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
        float | None,
        typer.Option(
            min=0, max=10, help="0 is the likeliest step, higher is freer. Default: 0.3 for bits (bce, focal), else 1."
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=0.99, help="bce, focal: output at which a bit is set half the time. Default: fitted."
        ),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(min=1, help="cross-entropy: draw among the so many likeliest words or keys.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(min=0.01, max=1, help="cross-entropy: among the likeliest with this share in all.")
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

    from musicgen_cli import midi, words
    from musicgen_cli.commands.inputs import load_checkpoint
    from musicgen_cli.corpus import Song, Writer
    from musicgen_cli.dataset import pad
    from musicgen_cli.device import autocast, generator
    from musicgen_cli.representations import is_silent
    from musicgen_cli.sampling import drawer, generate, random_state, usual_temperature
    from musicgen_cli.score import MAX_STEPS, steps_per_bar
    from musicgen_cli.streams import check_target, counted, refuse_suffix, say
    from musicgen_cli.streams import output as open_output

    check_target(output, model, *([prime] if prime else []))
    refuse_suffix(output, ".pt", *midi.SUFFIXES)
    computer = use(device, threads, precision)
    trained = load_checkpoint(model)
    network, loss = trained.build(computer), trained.build_loss()
    tossing = trained.sets_bits
    if tossing and (top_k or top_p):
        raise MusicgenError(
            f"{model}: sets bits one by one: --top-k and --top-p are for cross-entropy, take --threshold"
        )
    if threshold and not tossing:
        raise MusicgenError(
            f"{model}: makes one choice a step: --threshold is for bce and focal, take --top-k or --top-p"
        )
    about, begun, heard = _prime(trained, prime, song, prime_steps, quiet)
    steps = length or (bars or DEFAULT_BARS) * steps_per_bar(about.time_signature, trained.steps_per_quarter)
    settings: dict[str, Any] = {"temperature": usual_temperature(loss) if temperature is None else temperature}
    settings |= {"threshold": threshold or trained.threshold} if tossing else {}
    settings |= {name: value for name, value in (("top_k", top_k), ("top_p", top_p)) if value}
    if trained.vocabulary and steps + include_prime * int(words.lengths(begun).sum()) > MAX_STEPS:
        raise MusicgenError(f"a song of words lasts {MAX_STEPS} steps at most: a smaller --length or fewer --bars")
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    how = [f"--length {steps}", *(f"--{name.replace('_', '-')} {value}" for name, value in settings.items())]
    how += [f"--precision {precision}"] * (precision != "fp32")
    if prime:
        how += [f"--prime {quote(str(prime))} --song {quote(about.name)}"]
        how += [f"--prime-steps {prime_steps}"] * bool(prime_steps) + ["--include-prime"] * include_prime
    else:
        how += [f"--start {start}"]
    made_by = f"{trained.model} with {trained.loss}, {len(trained.history)} epochs, musicgen {trained.musicgen}"

    source = pad(heard, trained.source).to(computer)
    lasting = trained.lasting(computer)
    at_once = max(1, min(SONGS_AT_ONCE, STEPS_AT_ONCE // steps))
    with open_output(output) as file:
        writer, silent = Writer(file, trained.steps_per_quarter), 0
        for first in range(0, count, at_once):
            seeds = [seed + i for i in range(first, min(first + at_once, count))]
            coins, states = ([generator(computer, own, purpose) for own in seeds] for purpose in range(2))
            primes = source.expand(len(seeds), *source.shape)
            with autocast(computer, precision), torch.inference_mode():
                state = random_state(network.encode(primes), states) if start == "random" else None
                draw = drawer(loss, coins, **settings)
                made = generate(network, primes, steps, trained.target, draw, state, lasting)
            for own, new in zip(seeds, made):
                text = f"musicgen sample {quote(str(model))} --seed {own} {' '.join(how)}; {made_by}"
                name = f"sample-{own - seed + 1:0{len(str(count))}}"
                music = trained.music(new, steps)
                silent += is_silent(music)
                music = np.concatenate([begun, music]) if include_prime else music
                writer.add(Song(name, about.tempo, about.time_signature, text), music)
        writer.finish()
    if silent:
        hint = "lower --threshold, raise --temperature" if tossing else "raise --temperature"
        say(f"{counted(silent, 'song')} of {count} silent: {hint}, or train longer")
    say(f"made {counted(count, 'song')} of {counted(steps, 'step')}, --seed {seed}", quiet)


def _prime(
    trained: "Checkpoint", path: Path | None, song: str | None, steps: int | None, quiet: bool
) -> tuple["Song", "NDArray[Any]", "NDArray[Any]"]:
    """The song to go on from: what is known of it, its music on the grid of the model, and that in the model's rows.

    Without one, nothing; of a word that is cut the model hears the whole.
    """
    from musicgen_cli.commands.inputs import check_form, music_in
    from musicgen_cli.corpus import Song
    from musicgen_cli.representations import first
    from musicgen_cli.streams import counted, naming, say
    from musicgen_cli.vocabulary import UNKNOWN

    if path is None:
        return Song("", trained.tempo, trained.time_signature), trained.nothing, trained.rows(trained.nothing)
    music = music_in(path, trained.steps_per_quarter, trained.form)
    with naming(path):
        check_form(music, trained)
        i = music.find(song or "1")
        if not music.lengths[i]:
            raise MusicgenError(f"song {music.songs[i].name!r} is empty")
    if song is None and len(music) > 1:
        say(f"going on from song 1 of {len(music)}, {music.songs[i].name}; --song chooses another", quiet)
    begun = music.roll(i) if music.bits else music[i]
    begun = first(begun, steps) if steps else begun
    heard = trained.rows(begun if music.bits else music[i][: len(begun)])
    unknown = 0 if music.bits else int((heard == UNKNOWN).sum())
    if unknown:
        say(
            f"{counted(unknown, 'word')} of {len(begun)} not in the model's vocabulary: heard as one unknown word",
            quiet,
        )
    return music.songs[i], begun, heard

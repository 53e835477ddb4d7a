import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from musicgen_cli.commands.options import (
    Device,
    Output,
    Precision,
    Quiet,
    Threads,
    is_cpu,
    limit_numpy,
    refuse_typed,
    use,
)
from musicgen_cli.errors import MusicgenError
from musicgen_cli.streams import PIPE

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from musicgen_cli.checkpoint import Checkpoint
    from musicgen_cli.corpus import Corpus, Song

    Make = Callable[[list[int]], NDArray[Any]]  # the songs of some seeds, uint8 (B, T, size) or ids (B, N)
    Kept = tuple[NDArray[Any], NDArray[Any]]  # the bits that are set at each step, and those that may be, (T, size)

DEFAULT_BARS = 32
MOST = 1 << 20  # steps of a song
MAX_NAME = 100  # letters of a song's name that is said again
SONGS_AT_ONCE, STEPS_AT_ONCE = 64, 1 << 20  # of one pass; more are made in several
COINS, STATES = range(2)  # what is drawn from a seed
PARTICLES = 64  # tries at a song that holds given notes; with 16 more metrics were outside


def sample(
    model: Annotated[Path, typer.Argument(help="A checkpoint; - is stdin.", allow_dash=True)] = Path("model.pt"),
    output: Output = PIPE,
    length: Annotated[int | None, typer.Option(min=1, max=MOST, help="Steps to make; default: 32 bars.")] = None,
    bars: Annotated[int | None, typer.Option(min=1, max=1 << 16, help="The same in bars.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Songs to make, in one pass.")] = 1,
    start: Annotated[
        Literal["zeros", "random"], typer.Option(help="Without a prime: silence, or a random hidden state.")
    ] = "zeros",
    prime: Annotated[
        Path | None, typer.Option(help="Go on from this music: a corpus or a MIDI file; - is stdin.", allow_dash=True)
    ] = None,
    melody: Annotated[
        Path | None,
        typer.Option(
            help="Harmonise: keep the top line of this music (a corpus or a MIDI file) and play below it.",
            allow_dash=True,
        ),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep all notes of this music and add others.", allow_dash=True)
    ] = None,
    song: Annotated[
        str | None, typer.Option(help="Which song of --prime, --melody or --keep, by name or number from 1.")
    ] = None,
    prime_steps: Annotated[int | None, typer.Option(min=1, help="Only the first steps of the prime.")] = None,
    include_prime: Annotated[
        bool, typer.Option("--include-prime", help="Write the prime before what follows it.")
    ] = False,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=10,
            help="0 is the likeliest step, higher is freer; of chords which notes begin, not when they do."
            " Default: 0.8 for chord, 0.6 beside given notes; 0.3 for bits (bce, focal); else 1.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=0.99, help="bce, focal: output at which a bit is set half the time. Default: fitted."
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(min=1, help="chord, cross-entropy: draw among the so many likeliest notes, words or keys."),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="chord, cross-entropy: among the likeliest with this share in all."),
    ] = None,
    particles: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1 << 12,
            help="Tries at each song of --melody or --keep, of which those go on that lead to the notes to come;"
            " fewer are faster. Default: 64.",
        ),
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
      musicgen sample --melody tune.mid | musicgen decode -o harmonised.mid
    """
    given_in = melody or keep
    beginnings = {"--prime": prime, "--melody": melody, "--keep": keep, "--start random": start == "random" or None}
    chosen = {name: path for name, path in beginnings.items() if path is not None}
    refuse_typed(
        {
            "--length and --bars say the same: leave one out.": length and bars,
            f"{' and '.join(chosen)} begin in two ways: leave one out.": len(chosen) > 1,
            "--prime-steps and --include-prime go with --prime.": prime is None and (prime_steps or include_prime),
            "--song goes with --prime, --melody or --keep.": song and not (prime or given_in),
            "--particles goes with --melody or --keep.": particles and not given_in,
            "at --temperature 0 all --particles would be the same.": particles and temperature == 0,
            "standard input can be read once only.": model == PIPE in chosen.values(),
        }
    )
    quick = precision == "fp32" and start == "zeros" and not given_in and is_cpu(device)
    if quick:
        told = os.environ.keys() & {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
        limit_numpy(threads or int(count == 1 and not told))  # one: two wait more for each other than they do
    import secrets

    import numpy as np

    from musicgen_cli import midi
    from musicgen_cli.commands.inputs import load_checkpoint
    from musicgen_cli.corpus import Writer
    from musicgen_cli.player import can_play
    from musicgen_cli.representations import is_silent
    from musicgen_cli.streams import check_target, counted, naming, refuse_suffix, say
    from musicgen_cli.streams import output as open_output

    check_target(output, model, *(path for path in (prime, given_in) if path))
    refuse_suffix(output, ".pt", *midi.SUFFIXES)
    computer = None if quick else use(device, threads, precision)
    trained = load_checkpoint(model)
    _check_choices(model, trained, bool(top_k or top_p), bool(threshold), bool(given_in))
    begin = _begin(trained, prime or given_in, song, prime_steps, quiet)
    steps = _length(trained, begin, length, bars, given_in is not None, include_prime)
    given = _given(given_in, begin, steps, melody is not None, quiet) if given_in else None
    heard = begin.heard[:0] if given else begin.heard
    drawing = _drawing(trained, bool(given), temperature, threshold, top_k, top_p)
    tries = particles or PARTICLES if given and drawing["temperature"] else None
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    options: dict[str, Any] = {"length": steps, **drawing}
    options |= {"precision": precision if precision != "fp32" else None, "device": device if device != "auto" else None}
    options |= {"prime": prime, "melody": melody, "keep": keep, "song": begin.said}
    options |= {"prime_steps": prime_steps, "include_prime": include_prime, "particles": tries}
    options |= {"start": None if prime or given_in else start}
    with naming(model):
        if quick and can_play(trained):
            make = _in_numpy(trained, heard, steps, drawing)
        else:
            make = _in_torch(
                trained,
                heard,
                steps,
                drawing,
                computer=computer or use(device, threads),
                precision=precision,
                randomly=start == "random",
                given=given,
                tries=tries or 1,
            )
    at_once = max(1, min(SONGS_AT_ONCE, STEPS_AT_ONCE // steps) // (tries or 1))
    made_by = f"{trained.model} with {trained.loss}, {len(trained.history)} epochs, musicgen {trained.musicgen}"
    silent = 0
    with open_output(output) as file:
        writer = Writer(file, trained.steps_per_quarter)
        for own, new in _made(make, range(seed, seed + count), at_once):
            music = trained.music(new, steps)
            silent += is_silent(music)
            name = f"sample-{own - seed + 1:0{len(str(count))}}"
            text = f"{_command(model, {'seed': own} | options)}; {made_by}"
            music = np.concatenate([begin.music, music]) if include_prime else music
            writer.add(begin.about._replace(name=name, text=text), music)
        writer.finish()
    if silent:
        say(f"{counted(silent, 'song')} of {count} silent: {_less_silent(trained)}")
    say(f"made {counted(count, 'song')} of {counted(steps, 'step')}, --seed {seed}", quiet)


def _check_choices(model: Path, trained: "Checkpoint", among: bool, threshold: bool, given: bool) -> None:
    """Refuse options that say nothing to a model of this kind."""
    tossing = trained.sets_bits
    if tossing and among:
        raise MusicgenError(
            f"{model}: sets bits one by one: --top-k and --top-p are for chord and cross-entropy, take --threshold"
        )
    if threshold and not tossing:
        raise MusicgenError(
            f"{model}: chooses words or notes: --threshold is for bce and focal, take --top-k or --top-p"
        )
    if given and not (tossing or trained.loss == "chord"):
        raise MusicgenError(f"{model}: makes one choice a step: --melody and --keep are for chord, bce and focal")


class Beginning(NamedTuple):
    """What is known of the song to begin with; its music on the grid of the model; that as a model hears it; --song."""

    about: "Song"
    music: "NDArray[Any]"
    heard: "NDArray[Any]"
    said: str | None = None


def _begin(trained: "Checkpoint", path: Path | None, song: str | None, steps: int | None, quiet: bool) -> Beginning:
    """The song at `path` as far as `steps`, or nothing; of a word that is cut the model hears the whole."""
    from musicgen_cli.commands.inputs import check_form, music_in
    from musicgen_cli.corpus import Song
    from musicgen_cli.representations import first
    from musicgen_cli.streams import counted, naming, say
    from musicgen_cli.vocabulary import UNKNOWN

    if path is None:
        about = Song("", trained.tempo, trained.time_signature)
        return Beginning(about, trained.nothing, trained.prime(trained.nothing))
    music = music_in(path, trained.steps_per_quarter, trained.form)
    with naming(path):
        check_form(music, trained)
        i = music.find(song) if song else 0
        if not music.lengths[i]:
            raise MusicgenError(f"song {music.songs[i].name!r} is empty")
    if song is None and len(music) > 1:
        say(f"taking song 1 of {len(music)}, {music.songs[i].name}; --song chooses another", quiet)
    begun = music.roll(i) if music.bits else music[i]
    begun = first(begun, steps) if steps else begun
    unknown = 0 if music.bits else int((trained.rows(music[i][: len(begun)]) == UNKNOWN).sum())
    if unknown:
        say(
            f"{counted(unknown, 'word')} of {len(begun)} not in the model's vocabulary: heard as one unknown word",
            quiet,
        )
    heard = trained.prime(music.roll(i) if music.bits else music[i], steps)
    return Beginning(music.songs[i], begun, heard, _said(music, i))


def _said(music: "Corpus", i: int) -> str | None:
    """What --song says so that song `i` is found, None where there is no other: its name, or its number.

    A number is not found where a song is named so: then it has one more nought before it than any such name.
    """
    if len(music) == 1:
        return None
    name, number = music.songs[i].name, str(i + 1)
    if 0 < len(name) <= MAX_NAME and name.isprintable() and music.find(name) == i:
        return name
    named_so = (len(song.name) for song in music.songs if song.name.lstrip("0") == number)
    return number.zfill(1 + max(named_so, default=0))


def _length(
    trained: "Checkpoint", begin: Beginning, length: int | None, bars: int | None, beside: bool, include_prime: bool
) -> int:
    """The steps to make; beside given notes as many as these last."""
    from musicgen_cli import words
    from musicgen_cli.score import MAX_STEPS, steps_per_bar

    per_bar = steps_per_bar(begin.about.time_signature, trained.steps_per_quarter)
    steps = length or (bars * per_bar if bars else len(begin.music) if beside else DEFAULT_BARS * per_bar)
    if steps > MOST:  # of as many as can be typed
        raise MusicgenError(f"a song lasts {MOST} steps at most: a smaller --length or fewer --bars")
    if trained.vocabulary and steps + include_prime * int(words.lengths(begin.music).sum()) > MAX_STEPS:
        raise MusicgenError(f"a song of words lasts {MAX_STEPS} steps at most: a smaller --length or fewer --bars")
    return steps


def _given(path: Path, begin: Beginning, steps: int, on_top: bool, quiet: bool) -> "Kept":
    """The notes of a song, or its top line, as given at each of `steps` steps, and what may sound beside them."""
    import numpy as np

    from musicgen_cli.harmony import room, tidy, top_line
    from musicgen_cli.roll import flat
    from musicgen_cli.streams import counted, say

    if not begin.music.any():
        raise MusicgenError(f"{path}: song {begin.about.name!r} has no notes to keep")
    if steps < len(begin.music):
        say(f"{path}: only {steps} of its {counted(len(begin.music), 'step')} are taken", quiet)
    known = begin.music[:steps]
    known = np.concatenate([known, np.zeros((steps - len(known), *known.shape[1:]), bool)])
    kept = top_line(known) if on_top else tidy(known)
    return flat(kept), flat(room(kept, on_top))


def _drawing(
    trained: "Checkpoint",
    beside: bool,
    temperature: float | None,
    threshold: float | None,
    top_k: int | None,
    top_p: float | None,
) -> dict[str, Any]:
    """How steps are drawn: what was typed, else what is usual."""
    from musicgen_cli.temperature import usual

    drawing: dict[str, Any] = {"temperature": usual(trained.loss, beside) if temperature is None else temperature}
    drawing |= {"threshold": threshold or trained.threshold} if trained.sets_bits else {}
    return drawing | {name: value for name, value in (("top_k", top_k), ("top_p", top_p)) if value}


def _command(model: Path, options: dict[str, Any]) -> str:
    """The line that makes a song again: options that are None or False are left out, True is a flag."""
    line = ["musicgen", "sample", f"./{model}" if str(model).startswith("-") and model != PIPE else str(model)]
    for name, value in options.items():
        if value is not None and value is not False:
            line += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return shlex.join(line)


def _in_numpy(trained: "Checkpoint", heard: "NDArray[Any]", steps: int, drawing: dict[str, Any]) -> "Make":
    import numpy as np

    from musicgen_cli.dice import Coins, mixed
    from musicgen_cli.player import Player, drawer

    player = Player(trained)

    def make(seeds: list[int]) -> "NDArray[Any]":
        draw = drawer(trained, [Coins(mixed(own, COINS)) for own in seeds], **drawing)
        return player.play(np.broadcast_to(heard, (len(seeds), *heard.shape)), steps, draw, trained.lasting)

    return make


def _in_torch(
    trained: "Checkpoint",
    heard: "NDArray[Any]",
    steps: int,
    drawing: dict[str, Any],
    *,
    computer: "torch.device",
    precision: str,
    randomly: bool,
    given: "Kept | None",
    tries: int,
) -> "Make":
    import torch

    from musicgen_cli.device import autocast, generator
    from musicgen_cli.models import Given
    from musicgen_cli.particles import Particles
    from musicgen_cli.sampling import before_the_beginning, drawer, generate, random_state

    network, loss = trained.build(computer), trained.build_loss()
    prime = torch.from_numpy(heard).to(computer)
    lasting = None if trained.lasting is None else torch.from_numpy(trained.lasting).to(computer)
    beside = given and Given(*(torch.from_numpy(bits)[None].bool().to(computer) for bits in given))

    def make(seeds: list[int]) -> "NDArray[Any]":
        coins, states = ([generator(computer, own, purpose) for own in seeds] for purpose in (COINS, STATES))
        coin_of_each = [coin for coin in coins for _ in range(tries)]
        primes = prime.expand(len(coin_of_each), *prime.shape)
        with autocast(computer, precision), torch.inference_mode():
            nothing = before_the_beginning(network, primes, trained.source)
            state = random_state(network.encode(nothing), states) if randomly else None
            draw, tried = drawer(loss, coin_of_each, **drawing), Particles(tries, coins) if tries > 1 else None
            made = generate(network, primes, steps, trained.source, trained.target, draw, state, lasting, beside, tried)
        return made.cpu().numpy()

    return make


def _less_silent(trained: "Checkpoint") -> str:
    freer = "" if trained.loss == "chord" else "raise --temperature, or "  # which says nothing of when notes begin
    return f"{'lower --threshold, ' * trained.sets_bits}{freer}train longer"


def _made(make: "Make", seeds: range, at_once: int) -> Iterator[tuple[int, "NDArray[Any]"]]:
    """The seed and the steps of each song, so many made at once."""
    for first in range(0, len(seeds), at_once):
        some = list(seeds[first : first + at_once])
        yield from zip(some, make(some))

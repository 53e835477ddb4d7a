from pathlib import Path
from typing import Annotated

import typer

from musicgen_cli.commands.options import Json, Output, Quiet
from musicgen_cli.streams import PIPE


def vocab(
    corpora: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CORPORA",
            help="Corpora of words, or folders of *.npy; words.npy unless named; - is stdin.",
            allow_dash=True,
        ),
    ] = None,
    output: Output = PIPE,
    min_count: Annotated[int, typer.Option(min=1, help="Leave out words that are met less often.")] = 1,
    size: Annotated[int | None, typer.Option(min=1, help="Keep only the so many commonest words.")] = None,
    transpose: Annotated[
        int,
        typer.Option(min=0, max=24, help="Count words moved by up to so many keys, too, as `train` moves songs."),
    ] = 0,
    stats: Annotated[bool, typer.Option("--stats", help="Print what was counted; write only with -o.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Count the words of corpora: a vocabulary for `train --vocab`, commonest first.

    \b
    Examples:
      musicgen vocab words.npy -o vocab.npy
      musicgen vocab chorales.npy songs.npy --min-count 2 -o vocab.npy
      musicgen vocab words.npy --stats
    """
    from musicgen_cli import midi, vocabulary
    from musicgen_cli.commands.inputs import load_corpora, shards
    from musicgen_cli.errors import MusicgenError
    from musicgen_cli.streams import check_target, counted, name_of, refuse_suffix, say, show, show_json
    from musicgen_cli.streams import output as open_output

    given = corpora or [Path("words.npy")]
    if given.count(PIPE) > 1:
        raise typer.BadParameter("standard input can be read once only.")
    paths = shards(given)
    writing = output != PIPE or not (stats or json_)
    if writing:
        check_target(output, *paths)
        refuse_suffix(output, ".pt", *midi.SUFFIXES)
    music = load_corpora(paths)
    if music.bits:
        raise MusicgenError(
            f"{name_of(paths[0])}: holds {music.form}, not words; `musicgen encode --as words` makes words"
        )
    counted_words = vocabulary.count(music.parts, min_count, size, transpose)
    facts = counted_words.facts()
    if not facts["words"]:
        raise MusicgenError(f"no word is met as often as --min-count {min_count}, or there is none")
    if writing:
        with open_output(output) as file:
            vocabulary.save(counted_words, file)
    if json_:
        show_json(facts)
    elif stats:
        show(
            "\n".join(
                f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}"
                for name, value in facts.items()
            )
        )
    say(
        f"{counted(facts['words'], 'distinct word')}, {facts['coverage']:.1%} of the {facts['met']} met",
        quiet or not writing,
    )

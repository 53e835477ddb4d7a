"""Small MIDI files that once broke something, as hex, and their verdicts now (see torture/mutants.py)."""

HEADER = "4d546864 00000006 0000 0001 01e0 "
SLOW = "4d546864 00000006 0000 0001 0001 "  # a tick per quarter note

BROKE = {
    "asked for 640 GiB: a note of 2 ** 28 quarter notes": (
        SLOW + "4d54726b 0000000f 00903c40 ffffff7f 803c00 00ff2f00",
        "refused: lasts 1073741820 steps",
    ),
    "symusic dropped the note that nobody ends": (
        HEADER + "4d54726b 0000000d 00903c40 60904040 60ff2f00",
        "read",
    ),
    "symusic counted ticks in 31 bits: notes before the beginning": (
        HEADER + "4d54726b 0000003c" + " ffffff7fff0100" * 7 + " 00903c40 01803c00 00ff2f00",
        "refused: lasts",
    ),
    "symusic read another event's byte as part of a tempo of two bytes": (
        HEADER + "4d54726b 00000012 00ff510207a1 00903c40 60803c00 00ff2f00",
        "read",
    ),
    "mido refused seventeen sharps": (
        HEADER + "4d54726b 00000012 00ff59021100 00903c40 60803c00 00ff2f00",
        "read",
    ),
    "a track that says it is empty": (
        HEADER + "4d54726b 00000000 00903c40 60803c00 00ff2f00",
        "read",
    ),
    "cut in the midst of an event": (
        HEADER + "4d54726b 0000000c 00903c40 6080",
        "damaged: track 1 breaks off at the end",
    ),
    "a velocity of 255": (HEADER + "4d54726b 0000000c 00903cff 60803c00 00ff2f00", "read"),
    "a system message that does not belong into files": (
        HEADER + "4d54726b 0000000e 00f4 00903c40 60803c00 00ff2f00",
        "read",
    ),
    "a time signature in notes of 2 ** -200": (
        HEADER + "4d54726b 00000014 00ff580404c81808 00903c40 60803c00 00ff2f00",
        "read",
    ),
    "SMPTE time": ("4d546864 00000006 0000 0001 e728 4d54726b 00000004 00ff2f00", "refused: has no ticks"),
    "RIFF with a chunk before the music, of an odd size": (
        "52494646 3d000000 524d4944 4c495354 01000000 7800 64617461 22000000"
        + HEADER
        + "4d54726b 0000000c 00903c40 60803c00 00ff2f00",
        "read",
    ),
}

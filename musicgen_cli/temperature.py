"""How freely a step is drawn unless somebody says otherwise: 0 is the likeliest, 1 what the model expects."""

TOSSED = 0.3  # of bits, chosen on validation songs: onsets as many as in the corpus, and no bar frozen
HONEST = 1.0  # of one choice: as the model expects
BEGINNING = 0.8  # of which note of a chord begins: fewest metrics outside the range of training and validation songs
BESIDE = 0.6  # of the same beside given notes: at 0.8 what was put under the tunes of validation songs was dissonant
USUAL = {"bce": TOSSED, "focal": TOSSED, "chord": BEGINNING}  # by loss


def usual(loss: str, given: bool = False) -> float:
    """The temperature for a model with this loss; given: beside given notes."""
    return BESIDE if given and loss == "chord" else USUAL.get(loss, HONEST)

"""Answers with what seqeval says of tags.

Reads {"cases": [{"gold": [[tag]], "predicted": [[tag]], "scheme"}]} from stdin; prints for each what `measure` returns.
"""

import json
import sys
import warnings

from seqeval import scheme as schemes
from seqeval.metrics import classification_report
from seqeval.metrics.sequence_labeling import get_entities

NAMES = {"IOB2": schemes.IOB2, "IOBES": schemes.IOBES, "BILOU": schemes.BILOU}


def report(gold, predicted, **settings):
    """seqeval's report, as numbers and as text; None where there is no entity at all, which it refuses."""
    try:
        settings = {"zero_division": 0, **settings}
        numbers = classification_report(gold, predicted, output_dict=True, **settings)
        text = classification_report(gold, predicted, digits=4, **settings)
    except (ValueError, ZeroDivisionError):
        if any(get_entities(tags) for tags in (*gold, *predicted)) and "mode" not in settings:
            raise
        return None
    plain = {name: {key: float(value) for key, value in row.items()} for name, row in numbers.items()}
    return {"numbers": plain, "text": text}


def measure(gold, predicted, scheme):
    """The two reports of lists of tags. Strict: None also where no entity is whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "lenient": report(gold, predicted),
            "strict": report(gold, predicted, mode="strict", scheme=NAMES[scheme]),
        }


if __name__ == "__main__":
    request = json.load(sys.stdin)
    json.dump([measure(case["gold"], case["predicted"], case["scheme"]) for case in request["cases"]], sys.stdout)

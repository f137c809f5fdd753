"""Answers with what scikit-learn, scipy and numpy say of labels and predictions.

Reads from stdin:
  {"classification": [{"classes": int, "labels": [int], "predictions": [int]}],
   "multi_label": [{"labels": [[0 or 1]], "predictions": [[0 or 1]], "probabilities": [[float]]}],
   "mcnemar": [[only_first, only_second]],
   "percentiles": [[float]],
   "intervals": {"resamples": int, "confusion": [[int]], "counts": [[correct, predicted, support]],
                 "other": [[correct, predicted, support]]}}
Prints for each what `measure_classes`, `measure_labels`, `mcnemar`, `percentiles` and `intervals` return.
"""

import json
import re
import sys
import warnings

import numpy as np
from scipy.stats import binomtest, chi2
from sklearn.metrics import (
    accuracy_score,
    classification_report,
    confusion_matrix,
    hamming_loss,
    matthews_corrcoef,
    precision_recall_fscore_support,
)


def scores(truth, predictions, averages, **settings):
    """Each class or label, and the averages, with zero_division=0."""
    settings = {"zero_division": 0, **settings}
    each = precision_recall_fscore_support(truth, predictions, **settings)
    found = {
        "classes": [
            {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)} for p, r, f, s in zip(*each)
        ]
    }
    for average in averages:
        p, r, f, _ = precision_recall_fscore_support(truth, predictions, average=average, **settings)
        found[average] = {"precision": float(p), "recall": float(r), "f1": float(f)}
    return found


def whole_supports(report):
    """scikit-learn 1.9.1 prints supports as 2.0 where everything is wrong, else as 2."""
    return re.sub(r"(\d+)\.0$", r"  \1", report, flags=re.MULTILINE)


def measure_classes(labels, predictions, names):
    ids = list(range(len(names)))
    report = classification_report(labels, predictions, labels=ids, target_names=names, digits=4, zero_division=0)
    return {
        "confusion": confusion_matrix(labels, predictions, labels=ids).tolist(),
        "accuracy": float(accuracy_score(labels, predictions)),
        "mcc": float(matthews_corrcoef(labels, predictions)),
        **scores(labels, predictions, ("micro", "macro", "weighted"), labels=ids),
        "report": whole_supports(report),
    }


def measure_labels(labels, predictions, names):
    labels, predictions = np.array(labels), np.array(predictions)
    report = classification_report(labels, predictions, target_names=names, digits=4, zero_division=0)
    return {
        "subset_accuracy": float(accuracy_score(labels, predictions)),
        "hamming_loss": float(hamming_loss(labels, predictions)),
        **scores(labels, predictions, ("micro", "macro", "weighted", "samples")),
        "report": whole_supports(report),
    }


def best_micro_f1(labels, probabilities):
    """The highest of all thresholds."""
    labels, probabilities = np.array(labels), np.array(probabilities)
    reached = 0.0
    for threshold in np.unique(probabilities):
        given = probabilities >= threshold
        entries = given.sum() + labels.sum()
        reached = max(reached, 2 * (given & (labels == 1)).sum() / entries)
    return reached


def mcnemar(only_first, only_second):
    """As statsmodels.stats.contingency_tables.mcnemar has it, with a corrected chi-square of at least 0."""
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    if discordant < 25:
        return float(binomtest(only_first, discordant, 0.5).pvalue)
    return float(chi2.sf(max(0, abs(only_first - only_second) - 1) ** 2 / discordant, 1))


def percentiles(values):
    return [float(np.percentile(values, q)) for q in (2.5, 50, 95, 97.5)]


def ratio(part, whole):
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole != 0)


def micro_f1(counts, drawn):
    correct, predicted, support = np.moveaxis(np.array(counts, float)[drawn].sum(axis=1), -1, 0)
    return ratio(2 * correct, predicted + support)


def middle(values):
    low, high = np.percentile(values, [2.5, 97.5])
    return {"low": float(low), "high": float(high)}


def intervals(resamples, confusion, counts, other):
    """Percentile bootstrap intervals, from numpy's random numbers."""
    rng = np.random.default_rng(3)
    cells = np.array(confusion, float)
    size = int(cells.sum())
    drawn = rng.multinomial(size, cells.ravel() / size, resamples).reshape(resamples, *cells.shape).astype(float)
    right = np.einsum("rii->ri", drawn)
    support, predicted = drawn.sum(axis=2), drawn.sum(axis=1)
    together = right.sum(axis=1) * size - (support * predicted).sum(axis=1)
    spread = np.sqrt((size**2 - (support**2).sum(axis=1)) * (size**2 - (predicted**2).sum(axis=1)))
    sentences = rng.integers(0, len(counts), (resamples, len(counts)))
    return {
        "accuracy": middle(right.sum(axis=1) / size),
        "macro_f1": middle(ratio(2 * right, support + predicted).mean(axis=1)),
        "mcc": middle(ratio(together, spread)),
        "micro_f1": middle(micro_f1(counts, sentences)),
        "gain": middle(micro_f1(counts, sentences) - micro_f1(other, sentences)),
    }


def answer(request):
    names = [f"label {i}" for i in range(100)]
    return {
        "classification": [
            measure_classes(case["labels"], case["predictions"], names[: case["classes"]])
            for case in request["classification"]
        ],
        "multi_label": [
            {
                **measure_labels(case["labels"], case["predictions"], names[: len(case["labels"][0])]),
                "best_micro_f1": float(best_micro_f1(case["labels"], case["probabilities"])),
            }
            for case in request["multi_label"]
        ],
        "mcnemar": [mcnemar(*counts) for counts in request["mcnemar"]],
        "percentiles": [percentiles(values) for values in request["percentiles"]],
        "intervals": intervals(**request["intervals"]),
    }


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        json.dump(answer(json.load(sys.stdin)), sys.stdout)

"""Makes a classifier of a pretrained model: its encoder with a new head for two labels, in Transformers' format.

argv[1] is {"model": folder, "path": folder}.
"""

import json
import sys

from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

settings = json.loads(sys.argv[1])
set_seed(42)
model = AutoModelForSequenceClassification.from_pretrained(
    settings["model"], num_labels=2, id2label={0: "negative", 1: "positive"}, label2id={"negative": 0, "positive": 1}
)
# A head of the usual 0.02 would give every text the same answer.
model.classifier.weight.data.mul_(20)
model.save_pretrained(settings["path"])
AutoTokenizer.from_pretrained(settings["model"]).save_pretrained(settings["path"])

"""A fine-tuning with Transformers' Trainer, which leaves all to its defaults that is not in the settings: padding to the
longest of each batch, fused AdamW with linear warmup and decay, clipping at 1. Dev accuracy each epoch, test accuracy at
the end.

argv[1] is {"model": folder, "data": folder, "output": folder, "precision": "fp32" or "bf16", "groupByLength", "device",
"epochs", "batch", "learningRate", "warmup", "maxLength", "seed"}. Prints {"dev": [accuracy an epoch], "test"} as its last
line.
"""

import json
import os
import sys

from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments, set_seed

settings = json.loads(sys.argv[1])


def read(split, tokenizer):
    with open(os.path.join(settings["data"], f"{split}.tsv"), encoding="utf-8-sig") as file:
        next(file)
        rows = [line.rstrip("\r\n").split("\t") for line in file]
    encoded = tokenizer([text for _, text in rows], truncation=True, max_length=settings["maxLength"])
    return [
        {**{name: values[i] for name, values in encoded.items()}, "label": int(label)}
        for i, (label, _) in enumerate(rows)
    ]


def accuracy(prediction):
    return {"accuracy": (prediction.predictions.argmax(-1) == prediction.label_ids).mean().item()}


def main():
    set_seed(settings["seed"])
    tokenizer = AutoTokenizer.from_pretrained(settings["model"])
    splits = {split: read(split, tokenizer) for split in ("train", "dev", "test")}
    trainer = Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(settings["model"], num_labels=2),
        args=TrainingArguments(
            output_dir=settings["output"],
            use_cpu=settings["device"] == "cpu",
            num_train_epochs=settings["epochs"],
            per_device_train_batch_size=settings["batch"],
            per_device_eval_batch_size=settings["batch"],
            learning_rate=settings["learningRate"],
            warmup_steps=settings["warmup"],  # below 1: a share of the steps
            weight_decay=0.01,
            seed=settings["seed"],
            eval_strategy="epoch",
            bf16=settings["precision"] == "bf16",
            train_sampling_strategy="group_by_length" if settings["groupByLength"] else "random",
        ),
        train_dataset=splits["train"],
        eval_dataset=splits["dev"],
        processing_class=tokenizer,
        compute_metrics=accuracy,
    )
    trainer.train()
    dev = [entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry]
    test = trainer.predict(splits["test"]).metrics["test_accuracy"]
    print(f"\n{json.dumps({'dev': dev, 'test': test})}")


if __name__ == "__main__":
    main()

"""Makes tiny random models with their tokenizers, and answers with what Transformers makes of texts.

Reads {"folder", "corpus", "texts", "pairs", "masked", "sentences", "gold"} from stdin. For each family, writes folder/<family>-sequence,
-sets, -token and -words with save_pretrained; prints, by family:
  sequence: probabilities of each of texts, then of each of pairs
  sets: of each of texts, the probability of each label by itself
  token: entities of each of texts, [start, end, label], of the pipeline with aggregation_strategy "first"
  tagged: of each of sentences, lists of words, the label of each word; and what seqeval says of them beside `gold`
  words: of each of masked, of each mask the pipeline's top five, [id, probability, token_str]
"""

import json
import math
import os
import sys
import warnings
from collections import Counter

import torch
from entities import measure
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AlbertConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    pipeline,
)

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def wordpiece(corpus):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=120, special_tokens=specials))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer, specials


def byte_level(corpus):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=specials, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, specials


def unigram(corpus):
    # Its trainer gives another vocabulary from run to run, so this one is counted: the parts of words that save most.
    normalizer = normalizers.Sequence(
        [
            normalizers.Replace("``", '"'),
            normalizers.Replace("''", '"'),
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
        ]
    )
    words = [f"▁{word}" for text in corpus for word in normalizer.normalize_str(text).split()]
    counts = Counter(
        word[start:end] for word in words for start in range(len(word)) for end in range(start + 1, len(word) + 1)
    )
    letters = sorted(part for part in counts if len(part) == 1)
    longer = sorted((part for part in counts if len(part) > 1), key=lambda part: (-counts[part] * len(part), part))
    specials = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    parts = [*letters, *longer[: 115 - len(letters)]]
    total = sum(counts[part] for part in parts)
    vocabulary = [(token, 0.0) for token in specials] + [(part, math.log(counts[part] / total)) for part in parts]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=1))
    tokenizer.add_special_tokens(specials)
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer, specials


def bert_template(tokenizer):
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    return processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", cls), ("[SEP]", sep)],
    )


def tokenizers(corpus):
    bert, names = wordpiece(corpus)
    bert.post_processor = bert_template(bert)
    roberta, roberta_names = byte_level(corpus)
    roberta.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    albert, albert_names = unigram(corpus)
    albert.post_processor = bert_template(albert)

    def fast(tokenizer, pad, unk, cls, sep, mask):
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            pad_token=pad,
            unk_token=unk,
            cls_token=cls,
            sep_token=sep,
            mask_token=mask,
            model_max_length=41 if pad == "<pad>" and cls == "<s>" else 43,  # the model's positions
        )

    wordpieces = fast(bert, "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    return {
        "bert": wordpieces,
        "distilbert": wordpieces,
        "electra": wordpieces,
        "roberta": fast(roberta, "<pad>", "<unk>", "<s>", "</s>", "<mask>"),
        "albert": fast(albert, "<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"),
    }


def config_of(family, vocabulary):
    common = {
        "vocab_size": vocabulary,
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 17,
        "max_position_embeddings": 43,
        "initializer_range": 0.7,
        "pad_token_id": 0,
    }
    if family == "bert":
        return BertConfig(**common)
    if family == "roberta":
        return RobertaConfig(**{**common, "pad_token_id": 1, "type_vocab_size": 1})
    if family == "albert":
        return AlbertConfig(**common, embedding_size=7)
    if family == "electra":
        return ElectraConfig(**common, embedding_size=7)
    return DistilBertConfig(
        vocab_size=vocabulary, dim=12, n_layers=2, n_heads=3, hidden_dim=17, max_position_embeddings=43,
        initializer_range=0.7, pad_token_id=0,
    )  # fmt: skip


def save(model, tokenizer, folder):
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def sequences(model, tokenizer, family, texts, pairs):
    found = []
    for text, pair in [*((text, None) for text in texts), *pairs]:
        inputs = tokenizer(text, pair, return_tensors="pt", truncation=True, return_token_type_ids=True)
        if family in ("roberta", "distilbert"):
            inputs.pop("token_type_ids", None)
        with torch.no_grad():
            found.append(model(**inputs).logits.double().softmax(-1)[0].tolist())
    return found


def label_sets(model, tokenizer, texts):
    # What the pipeline makes of the scores hangs on problem_type alone.
    run = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)
    return [{one["label"]: one["score"] for one in found} for found in run(texts, truncation=True)]


def tokens(model, tokenizer, texts):
    run = pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="first")
    gather = run.gather_pre_entities
    # Tokens of nothing but the blank before a word, which only byte-level BPE and SentencePiece have: t4 takes them for
    # no words.
    run.gather_pre_entities = lambda sentence, *more, **named: [
        one for one in gather(sentence, *more, **named) if one["word"].strip("▁Ġ") != ""
    ]
    return [[[one["start"], one["end"], one["entity_group"]] for one in run(text)] for text in texts]


def tagged(model, tokenizer, family, sentences, gold):
    """The label of each word's first token that is more than a blank, of texts that come in words."""
    if family == "roberta":
        # What Transformers asks for where byte-level BPE is given words.
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    labels = []
    for sentence in sentences:
        inputs = tokenizer(sentence, is_split_into_words=True, return_tensors="pt", return_token_type_ids=True)
        words = inputs.word_ids()
        pieces = tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
        given = dict(inputs)
        if family in ("roberta", "distilbert"):
            given.pop("token_type_ids", None)
        with torch.no_grad():
            best = model(**given).logits[0].argmax(-1).tolist()
        # "Ġ" alone is a blank, and so is "▁".
        seen = {}
        for place, word in enumerate(words):
            if word is not None and pieces[place].strip("▁Ġ") != "":
                seen.setdefault(word, LABELS[best[place]])
        labels.append([seen[word] for word in range(len(sentence))])
    if family == "roberta":
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return {"labels": labels, "report": measure(gold, labels, "IOB2")}


def words(model, tokenizer, masked):
    run = pipeline("fill-mask", model=model, tokenizer=tokenizer, top_k=5)
    answers = [run(text.replace("[MASK]", tokenizer.mask_token)) for text in masked]
    # The pipeline drops the outer list where there is one mask.
    lists = [answer if isinstance(answer[0], list) else [answer] for answer in answers]
    return [[[[o["token"], o["score"], o["token_str"]] for o in mask] for mask in masks] for masks in lists]


def main():
    request = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    answer = {}
    for seed, (family, tokenizer) in enumerate(tokenizers(request["corpus"]).items()):
        torch.manual_seed(seed)
        size = len(tokenizer)

        def folder(kind, family=family):
            return os.path.join(request["folder"], f"{family}-{kind}")

        config = config_of(family, size)
        config.num_labels = 3
        sequence = AutoModelForSequenceClassification.from_config(config)
        save(sequence, tokenizer, folder("sequence"))
        config = config_of(family, size)
        config.id2label = dict(enumerate(LABELS))
        config.label2id = {label: i for i, label in enumerate(LABELS)}
        token = AutoModelForTokenClassification.from_config(config)
        save(token, tokenizer, folder("token"))
        masked = AutoModelForMaskedLM.from_config(config_of(family, size))
        save(masked, tokenizer, folder("words"))
        config = config_of(family, size)
        config.num_labels = 3
        config.problem_type = "multi_label_classification"
        sets = AutoModelForSequenceClassification.from_config(config)
        save(sets, tokenizer, folder("sets"))
        answer[family] = {
            "sequence": sequences(sequence, tokenizer, family, request["texts"], request["pairs"]),
            "sets": label_sets(sets, tokenizer, request["texts"]),
            "token": tokens(token, tokenizer, request["texts"]),
            "words": words(masked, tokenizer, request["masked"]),
            "tagged": tagged(token, tokenizer, family, request["sentences"], request["gold"]),
        }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()

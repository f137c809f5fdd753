"""Answers tokenization requests with what Python Transformers gives.

Reads from stdin {"requests": [...]}, each {vocab, saveTo, lowercase, stripAccents, chineseChars, maxLength, texts},
texts a list of [text, pair or null]; writes to stdout one list of [inputIds, firstLength] a request.
With saveTo the tokenizer is also saved there as a folder, truncation and padding set inside its tokenizer.json.
"""

import json
import sys

from transformers import BertTokenizer


def load(request):
    with open(request["vocab"], encoding="utf-8", newline="\n") as file:
        lines = file.read().removesuffix("\n").split("\n")
    # Transformers 5 ignores vocab_file= without a word, and trims lines when given a path: a dict it takes as it is.
    tokenizer = BertTokenizer(
        vocab={token: i for i, token in enumerate(lines)},
        do_lower_case=request["lowercase"],
        strip_accents=request["stripAccents"],
        tokenize_chinese_chars=request["chineseChars"],
    )
    assert len(tokenizer) == len(lines), (len(tokenizer), len(lines))
    return tokenizer


def encode(tokenizer, texts, max_length):
    # Singles and pairs need separate calls; the answer keeps the order of the question.
    answer = [None] * len(texts)
    for is_pair in (False, True):
        chosen = [i for i, (_, pair) in enumerate(texts) if (pair is not None) == is_pair]
        if not chosen:
            continue
        encoded = tokenizer(
            [texts[i][0] for i in chosen],
            [texts[i][1] for i in chosen] if is_pair else None,
            truncation="longest_first" if max_length else False,
            max_length=max_length,
        )
        for i, ids, types in zip(chosen, encoded["input_ids"], encoded["token_type_ids"]):
            answer[i] = [ids, types.count(0)]
    return answer


def main():
    answers = []
    for request in json.load(sys.stdin)["requests"]:
        tokenizer = load(request)
        answers.append(encode(tokenizer, request["texts"], request["maxLength"]))
        if request["saveTo"]:
            tokenizer.backend_tokenizer.enable_truncation(max_length=8)
            tokenizer.backend_tokenizer.enable_padding(length=16)
            tokenizer.save_pretrained(request["saveTo"])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()

"""Answers tokenization requests with what Python Transformers gives.

Reads from stdin {"requests": [...]}, each {family, vocab, saveTo, lowercase, stripAccents, chineseChars,
addPrefixSpace, keepAccents, trainOn, maxLength, texts}, texts a list of [text, pair or null]; writes to stdout one list
of [inputIds, firstLength] a request.
With saveTo the tokenizer is also saved there as a folder, truncation and padding set inside its tokenizer.json.
With trainOn (ALBERT) a SentencePiece model is first trained on these texts and written to vocab.
"""

import json
import os
import sys

from transformers import BertTokenizer


def load_bert(request):
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


def load_roberta(request):
    from transformers import AddedToken, RobertaTokenizer

    tokenizer = RobertaTokenizer(
        vocab=request["vocab"],
        merges=os.path.join(os.path.dirname(request["vocab"]), "merges.txt"),
        add_prefix_space=request["addPrefixSpace"],
        # As in the tokenizer.json of the published models; Transformers 5 forgets it when given the two files alone.
        mask_token=AddedToken("<mask>", lstrip=True, special=True, normalized=False),
    )
    assert len(tokenizer) == 50265, len(tokenizer)
    return tokenizer


def load_albert(request):
    """As from the tokenizer.json of the published models: the vocabulary of AlbertConverter, AlbertTokenizer around it.

    From a spiece.model alone Transformers 5 makes added tokens of "(" and the like, so that "(a" is "(", "▁a": neither
    those files nor SentencePiece itself do.
    """
    from transformers import AddedToken, AlbertTokenizer
    from transformers.convert_slow_tokenizer import check_number_comma, import_protobuf

    if request["trainOn"] is not None:
        train_albert(request["vocab"], request["trainOn"])
    proto = import_protobuf().ModelProto()
    with open(request["vocab"], "rb") as file:
        proto.ParseFromString(file.read())
    vocab = [(p.piece, p.score if check_number_comma(p.piece) else p.score - 100) for p in proto.pieces]
    tokenizer = AlbertTokenizer(
        vocab=vocab,
        do_lower_case=request["lowercase"],
        keep_accents=request["keepAccents"],
        mask_token=AddedToken("[MASK]", lstrip=True, special=True, normalized=False),
        _spm_precompiled_charsmap=proto.normalizer_spec.precompiled_charsmap,
    )
    assert len(tokenizer) == len(vocab), (len(tokenizer), len(vocab))
    return tokenizer


def train_albert(path, texts):
    """With the options that ALBERT's README gives."""
    import sentencepiece

    with open(path, "wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=3000,
            model_type="unigram",
            pad_id=0,
            unk_id=1,
            bos_id=-1,
            eos_id=-1,
            control_symbols=["[CLS]", "[SEP]", "[MASK]"],
            user_defined_symbols=["(", ")", '"', "-", ".", "–", "£", "€"],
            character_coverage=0.99995,
            num_threads=1,
            minloglevel=2,
        )


loaders = {"bert": load_bert, "roberta": load_roberta, "albert": load_albert}


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
            return_token_type_ids=True,
        )
        for i, ids, types in zip(chosen, encoded["input_ids"], encoded["token_type_ids"]):
            answer[i] = [ids, types.count(0)]
    return answer


def main():
    answers = []
    for request in json.load(sys.stdin)["requests"]:
        tokenizer = loaders[request["family"]](request)
        answers.append(encode(tokenizer, request["texts"], request["maxLength"]))
        if request["saveTo"]:
            tokenizer.backend_tokenizer.enable_truncation(max_length=8)
            tokenizer.backend_tokenizer.enable_padding(length=16)
            tokenizer.save_pretrained(request["saveTo"])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()

import { expect } from 'chai';
import { UserError } from '../errors.js';
import { hasVocabulary, missingPart, neededFiles, refuseUnsafeName } from './hub-files.js';

const rest = [
  'README.md',
  '.gitattributes',
  'tf_model.h5',
  'flax_model.msgpack',
  'rust_model.ot',
  'model.onnx',
  'coreml',
];
const shard = (i: number, n: number, stem = 'model', ending = 'safetensors'): string =>
  `${stem}-${String(i).padStart(5, '0')}-of-${String(n).padStart(5, '0')}.${ending}`;

describe('files of a repository', () => {
  const cases: [what: string, all: string[], needed: string[]][] = [
    [
      'safetensors before .bin',
      ['pytorch_model.bin', 'model.safetensors', 'config.json', 'vocab.txt'],
      ['config.json', 'vocab.txt', 'model.safetensors'],
    ],
    ['.bin where there is nothing better', ['pytorch_model.bin', 'config.json'], ['config.json', 'pytorch_model.bin']],
    [
      'all files of a tokenizer',
      [
        ...['model.safetensors', 'config.json', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'],
        ...['added_tokens.json', 'vocab.json', 'merges.txt', 'spiece.model', 'sentencepiece.bpe.model'],
      ],
      [
        ...['config.json', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'],
        ...['vocab.json', 'merges.txt', 'spiece.model', 'sentencepiece.bpe.model', 'model.safetensors'],
      ],
    ],
    [
      'the files of fairseq, where there is nothing else',
      ['model.pt', 'dict.txt', 'encoder.json', 'vocab.bpe'],
      ['dict.txt', 'encoder.json', 'vocab.bpe', 'model.pt'],
    ],
    [
      'no weights of fairseq where there are others',
      ['model.pt', 'model.safetensors', 'config.json', 'vocab.json', 'merges.txt'],
      ['config.json', 'vocab.json', 'merges.txt', 'model.safetensors'],
    ],
    [
      'shards with their index',
      [shard(2, 2), 'config.json', shard(1, 2), 'model.safetensors.index.json', 'pytorch_model.bin'],
      ['config.json', 'model.safetensors.index.json', shard(1, 2), shard(2, 2)],
    ],
    [
      'no shards of which one is absent',
      [shard(1, 2), 'model.safetensors.index.json', 'config.json', 'pytorch_model.bin'],
      ['config.json', 'pytorch_model.bin'],
    ],
    [
      'no shards without index',
      [shard(1, 1), 'config.json', 'pytorch_model.bin'],
      ['config.json', 'pytorch_model.bin'],
    ],
    [
      'one file before shards',
      ['model.safetensors', shard(1, 1), 'model.safetensors.index.json', 'config.json'],
      ['config.json', 'model.safetensors'],
    ],
    [
      'shards of .bin',
      [shard(1, 1, 'pytorch_model', 'bin'), 'pytorch_model.bin.index.json', 'config.json'],
      ['config.json', 'pytorch_model.bin.index.json', shard(1, 1, 'pytorch_model', 'bin')],
    ],
    [
      "Google's checkpoint",
      [
        'bert_model.ckpt.index',
        'bert_model.ckpt.data-00000-of-00001',
        'bert_model.ckpt.meta',
        'bert_config.json',
        'vocab.txt',
      ],
      ['bert_config.json', 'vocab.txt', 'bert_model.ckpt.index', 'bert_model.ckpt.data-00000-of-00001'],
    ],
    [
      'no index without its data',
      ['a.ckpt.index', 'b.ckpt.data-00000-of-00001', 'bert_config.json'],
      ['bert_config.json'],
    ],
    ['what t4 wrote', ['t4.json', 'model.safetensors', 'config.json'], ['config.json', 't4.json', 'model.safetensors']],
    [
      'nothing from folders and variants',
      ['onnx/model.safetensors', 'model.fp16.safetensors', 'config.json', 'pytorch_model.fp16.bin'],
      ['config.json'],
    ],
    ['nothing', [], []],
  ];
  for (const [what, all, needed] of cases) {
    it(`needed: ${what}`, () => {
      expect(neededFiles([...rest, ...all])).to.deep.equal(needed);
    });
  }

  it('lack weights or a configuration', () => {
    expect(missingPart(['config.json', 'model.onnx'])).to.contain('weights');
    expect(missingPart(['model.safetensors'])).to.equal('config.json');
    expect(missingPart(['model.safetensors', 'config.json'])).to.equal(undefined);
    expect(missingPart(['model.pt', 'dict.txt'])).to.equal(undefined);
  });

  it('have a vocabulary or not', () => {
    expect(hasVocabulary(['spiece.model', 'config.json'])).to.equal(true);
    expect(hasVocabulary(['tokenizer_config.json', 'merges.txt'])).to.equal(false);
  });

  it('never lie outside of the folder', () => {
    for (const name of [
      '../x',
      'a/../../x',
      '..',
      '/etc/x',
      '\\\\host\\x',
      'a\\..\\..\\x',
      'C:\\x',
      'd:x',
      '',
      'a\0b',
    ]) {
      expect(() => {
        refuseUnsafeName('a/b', name);
      }, name).to.throw(UserError, 'outside of the repository');
    }
    for (const name of ['config.json', '.gitattributes', '1_Pooling/config.json', 'a..b', '...']) {
      refuseUnsafeName('a/b', name);
    }
  });
});

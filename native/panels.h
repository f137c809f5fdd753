// What products of matrices are made of: words of 32 bits, and B in panels. Included once for each instruction set after
// fused-arithmetic.h's vectors, inside the same namespace, hence no guard.
//
// A word is a float, or, where the processor has dot products of bfloat16, a pair of them that are neighbours along K.

T4_INLINE int64_t RoundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

/** Words of floats, of which a product sums one along K. */
struct FloatWords {
  static constexpr int64_t kPerWord = 1;
  T4_INLINE void Add(Floats* sum, const float* a, const Floats& b) { *sum += All(*a) * b; }
};

#if defined(T4_AVX512BF16)
/** Words of two bfloat16 values. */
struct PairWords {
  static constexpr int64_t kPerWord = 2;
  T4_INLINE void Add(Floats* sum, const float* a, const Floats& b) {
    __m512 s;
    __m512i v;
    int32_t pair;
    std::memcpy(&pair, a, sizeof pair);
    std::memcpy(&s, sum, sizeof s);
    std::memcpy(&v, &b, sizeof v);
    s = _mm512_dpbf16_ps(s, (__m512bh)_mm512_set1_epi32(pair), (__m512bh)v);
    std::memcpy(sum, &s, sizeof s);
  }
};
#endif

template <typename T>
struct WordsOf {
  typedef FloatWords Type;
};
#if defined(T4_AVX512BF16)
template <>
struct WordsOf<Bfloat16> {
  typedef PairWords Type;
};
#endif

/** 16 words of a row of `width` elements from word `first` on; what is beyond it is 0. */
template <typename Word, typename T>
T4_INLINE Floats LoadWords(const T* row, int64_t first, int64_t width) {
  if constexpr (Word::kPerWord == 2) {
    Floats words = All(0);
    const int64_t left = width - 2 * first;
    if (left >= 2 * kLanes) {
      std::memcpy(&words, row + 2 * first, sizeof words);
    } else if (left > 0) {
      std::memcpy(&words, row + 2 * first, static_cast<size_t>(left) * sizeof(T));
    }
    return words;
  } else {
    if (first + kLanes <= width) return Load(row + first);
    return first < width ? LoadPart(row + first, width - first) : All(0);
  }
}

T4_INLINE Shorts LoadShorts(const Bfloat16* row, int64_t first, int64_t width) {
  Shorts bits = {};
  if (first + kLanes <= width) {
    std::memcpy(&bits, row + first, sizeof bits);
  } else {
    std::memcpy(&bits, row + first, static_cast<size_t>(width - first) * sizeof *row);
  }
  return bits;
}

/** Two rows of bfloat16 values as words of neighbours. */
T4_INLINE Floats Interleave(const Shorts& even, const Shorts& odd) {
  const Words words = __builtin_convertvector(even, Words) | __builtin_convertvector(odd, Words) << 16;
  return reinterpret_cast<Floats>(words);
}

/** 16 times 16 words at `words`, which are rows one after the other, mirrored at the diagonal. */
T4_INLINE void TransposeWords(Floats words[16]) {
#if defined(T4_AVX512)
  __m512 r[16];
  __m512 t[16];
  std::memcpy(r, words, sizeof r);
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int half = 0; half < 2; half++) {
      const __m512d a = _mm512_castps_pd(t[i + half]);
      const __m512d b = _mm512_castps_pd(t[i + 2 + half]);
      r[i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
      r[i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    }
  }
  // r[4 i + c] holds, in its quarter q, column 4 q + c of rows 4 i to 4 i + 3.
  for (int c = 0; c < 4; c++) {
    const __m512 even = _mm512_shuffle_f32x4(r[c], r[4 + c], 0x88);
    const __m512 odd = _mm512_shuffle_f32x4(r[c], r[4 + c], 0xdd);
    const __m512 evenBelow = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0x88);
    const __m512 oddBelow = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0xdd);
    t[c] = _mm512_shuffle_f32x4(even, evenBelow, 0x88);
    t[8 + c] = _mm512_shuffle_f32x4(even, evenBelow, 0xdd);
    t[4 + c] = _mm512_shuffle_f32x4(odd, oddBelow, 0x88);
    t[12 + c] = _mm512_shuffle_f32x4(odd, oddBelow, 0xdd);
  }
  std::memcpy(words, t, sizeof t);
#else
  for (int i = 0; i < 16; i++) {
    for (int j = 0; j < i; j++) {
      const float word = words[i][j];
      words[i][j] = words[j][i];
      words[j][i] = word;
    }
  }
#endif
}

/** 16 numbers of a row from `first` on, as bfloat16; what is beyond its width is 0. */
template <typename T>
T4_INLINE Shorts NarrowPart(const T* row, int64_t first, int64_t width) {
  const int64_t left = width - first;
  if (left <= 0) return Shorts{};
  if constexpr (sizeof(T) == sizeof(Bfloat16)) {
    return LoadShorts(row, first, width);
  } else {
    return Narrow(left >= kLanes ? Load(row + first) : LoadPart(row + first, left));
  }
}

/** 16 words of a row whose numbers are along K. */
template <typename Word, typename T>
T4_INLINE Floats WordsOfRow(const T* row, int64_t word, int64_t depth) {
  if constexpr (Word::kPerWord == 2 && sizeof(T) == sizeof(float)) {
    const Shorts halves[2] = {NarrowPart(row, 2 * word, depth), NarrowPart(row, 2 * word + kLanes, depth)};
    Floats words;
    std::memcpy(&words, halves, sizeof words);
    return words;
  } else {
    return LoadWords<Word>(row, word, depth);
  }
}

/** The same number of 16 columns of a matrix whose rows are along K, from column `first` on. */
template <typename Word, typename T>
T4_INLINE Floats WordsOfColumns(const T* rows, int64_t stride, int64_t word, int64_t depth, int64_t first,
                                int64_t columns) {
  const T* row = rows + Word::kPerWord * word * stride;
  if constexpr (Word::kPerWord == 2) {
    return Interleave(NarrowPart(row, first, columns),
                      2 * word + 1 < depth ? NarrowPart(row + stride, first, columns) : Shorts{});
  } else {
    return LoadWords<Word>(row, first, columns);
  }
}

/** Adds to `sums` the numbers of which words are made. */
template <typename Word>
T4_INLINE void AddNumbers(const Floats& words, float* sums) {
  if constexpr (Word::kPerWord == 2) {
    const Words bits = reinterpret_cast<Words>(words);
    const Words even = bits << 16;
    const Words odd = bits & 0xffff0000;
    Store(sums, Load(sums) + (reinterpret_cast<Floats>(even) + reinterpret_cast<Floats>(odd)));
  } else {
    Store(sums, Load(sums) + words);
  }
}

/**
 * Columns of B from `first` on -> `count` panels [words, vectors * 16], one after the other; with `transposed` they are rows
 * in memory. `sums`, where it is not null and they are not, gets the sums of the columns, as they are multiplied.
 */
template <typename Word, typename T>
static void PackPanels(const T* b, bool transposed, int64_t stride, int64_t depth, int64_t first, int64_t columns,
                       int64_t vectors, int64_t count, float* to, float* sums = nullptr) {
  const int64_t words = (depth + Word::kPerWord - 1) / Word::kPerWord;
  const int64_t width = vectors * kLanes;
  const int64_t panel = words * width;
  if (!transposed) {
    if (sums != nullptr) std::fill(sums, sums + count * width, 0.0f);
    for (int64_t word = 0; word < words; word++) {
      // Each row is far from the one before it, which the processor does not foresee.
      const T* ahead = b + (word + 8) * Word::kPerWord * stride + first;
      for (int64_t row = 0; row < Word::kPerWord; row++) Fetch(ahead + row * stride, count * width);
      for (int64_t i = 0; i < count; i++) {
        float* place = to + i * panel + word * width;
        for (int64_t v = 0; v < width; v += kLanes) {
          const Floats value = WordsOfColumns<Word>(b, stride, word, depth, first + i * width + v, columns);
          Store(place + v, value);
          if (sums != nullptr) AddNumbers<Word>(value, sums + i * width + v);
        }
      }
    }
    return;
  }
  for (int64_t n = 0; n < count * width; n += kLanes) {
    const T* rows = b + (first + n) * stride;
    const int64_t there = columns - first - n;
    float* place = to + n / width * panel + n % width;
    for (int64_t word = 0; word < words; word += kLanes) {
      Floats block[kLanes];
      for (int64_t i = 0; i < kLanes; i++) {
        Fetch(rows + i * stride + (word + 4 * kLanes) * Word::kPerWord, kLanes * Word::kPerWord);
        block[i] = i < there ? WordsOfRow<Word>(rows + i * stride, word, depth) : All(0);
      }
      TransposeWords(block);
      const int64_t last = std::min(words - word, kLanes);
      for (int64_t i = 0; i < last; i++) Store(place + (word + i) * width, block[i]);
    }
  }
}

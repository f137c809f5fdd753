// Products of matrices: C[M, N] = A[M, K] B[K, N] + bias[N], each of A and B as it lies or transposed. Included once for
// each instruction set after attention.h, whose words they are made of, inside the same namespace, hence no guard.
//
// A tile of C, 8 rows times 48 columns, stays in registers for all of K (as in Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication", 2008). B is copied to panels of 48 columns that lie in the second cache while all
// rows of A go by; A is read as it lies, unless it is transposed.

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

/**
 * Columns of B from `first` on -> `count` panels [words, vectors * 16], one after the other; with `transposed` they are rows
 * in memory.
 */
template <typename Word, typename T>
static void PackPanels(const T* b, bool transposed, int64_t stride, int64_t depth, int64_t first, int64_t columns,
                       int64_t vectors, int64_t count, float* to) {
  const int64_t words = (depth + Word::kPerWord - 1) / Word::kPerWord;
  const int64_t width = vectors * kLanes;
  const int64_t panel = words * width;
  if (!transposed) {
    for (int64_t word = 0; word < words; word++) {
      // Each row is far from the one before it, which the processor does not foresee.
      const T* ahead = b + (word + 8) * Word::kPerWord * stride + first;
      for (int64_t line = 0; line < count * width; line += 64 / static_cast<int64_t>(sizeof(T))) {
        for (int64_t row = 0; row < Word::kPerWord; row++) __builtin_prefetch(ahead + row * stride + line);
      }
      for (int64_t i = 0; i < count; i++) {
        float* place = to + i * panel + word * width;
        for (int64_t v = 0; v < width; v += kLanes) {
          Store(place + v, WordsOfColumns<Word>(b, stride, word, depth, first + i * width + v, columns));
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
      for (int64_t i = 0; i < kLanes; i++) block[i] = i < there ? WordsOfRow<Word>(rows + i * stride, word, depth) : All(0);
      TransposeWords(block);
      const int64_t last = std::min(words - word, kLanes);
      for (int64_t i = 0; i < last; i++) Store(place + (word + i) * width, block[i]);
    }
  }
}

/**
 * Rows `first` to `first` + `count` of A, which is transposed, as tiles [words, 8] one after the other; or, where it is
 * not, as rows of whole words, which those of an odd number of bfloat16 values are not.
 */
template <typename T>
static void PackLeft(const T* a, bool transposed, int64_t stride, int64_t depth, int64_t first, int64_t count,
                     float* to) {
  typedef typename WordsOf<T>::Type Word;
  const int64_t words = (depth + Word::kPerWord - 1) / Word::kPerWord;
  if (!transposed) {
    for (int64_t row = 0; row < count; row++) {
      for (int64_t word = 0; word < words; word += kLanes) {
        StorePart(to + row * words + word, LoadWords<Word>(a + (first + row) * stride, word, depth),
                  std::min(words - word, kLanes));
      }
    }
    return;
  }
  for (int64_t word = 0; word < words; word++) {
    const T* ahead = a + (word + 8) * Word::kPerWord * stride + first;
    for (int64_t line = 0; line < count; line += 64 / static_cast<int64_t>(sizeof(T))) {
      for (int64_t row = 0; row < Word::kPerWord; row++) __builtin_prefetch(ahead + row * stride + line);
    }
    for (int64_t row = 0; row < count; row += kLanes) {
      float* tile = to + row * words + word * kProductRows;
      float both[kLanes];
      Store(both, WordsOfColumns<Word>(a, stride, word, depth, first + row, first + count));
      std::memcpy(tile, both, sizeof both / 2);
      if (row + kProductRows < count) std::memcpy(tile + words * kProductRows, both + kProductRows, sizeof both / 2);
    }
  }
}

/** Words of K that are multiplied at once: longer sums of floats would lose digits. */
constexpr int64_t kPanelWords = 768;

/** Words of panels that a part of the rows of A goes by at once: they leave room in the second cache. */
constexpr int64_t kPanelsSize = 81920;

/** How A lies: in tiles [words, 8], or in rows. */
enum class Left { kTiles, kRows };

/** What a tile of C adds to, where it is not the first along K; or null. */
typedef const float* Former;

/** A tile of C, of which the first `columns` are stored. */
template <typename Word, Left left, int rows, int vectors, typename Out>
static __attribute__((noinline)) void ProductTile(const float* a, int64_t aRow, const float* b, int64_t words,
                                                  Former former, int64_t formerRow, const float* bias, Out* c,
                                                  int64_t cRow, int64_t columns) {
  Floats sums[rows][vectors];
#pragma GCC unroll 16
  for (int m = 0; m < rows; m++) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) sums[m][v] = All(0);
  }
  for (int64_t block = 0; block < words; block += kLanes) {
    // What the next tile reads comes to the second cache while this one is computed.
#pragma GCC unroll 16
    for (int m = 0; m < rows; m++) {
      const float* line = left == Left::kTiles ? a + 128 * rows + block * kProductRows + m * kLanes : a + (rows + m) * aRow + block;
      __builtin_prefetch(line, 0, 3);
    }
    const int64_t end = std::min(words, block + kLanes);
    for (int64_t k = block; k < end; k++) {
      Floats values[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) values[v] = Load(b + (k * vectors + v) * kLanes);
#pragma GCC unroll 16
      for (int m = 0; m < rows; m++) {
        const float* word = left == Left::kTiles ? a + k * kProductRows + m : a + m * aRow + k;
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) Word::Add(&sums[m][v], word, values[v]);
      }
    }
  }
  if (former != nullptr) {
#pragma GCC unroll 16
    for (int m = 0; m < rows; m++) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) sums[m][v] += Load(former + m * formerRow + v * kLanes);
    }
  }
  if (columns < vectors * kLanes) {
    for (int v = 0; v < vectors && columns > v * kLanes; v++) {
      const int64_t count = std::min(columns - v * kLanes, kLanes);
      const Floats added = bias == nullptr ? All(0) : LoadPart(bias + v * kLanes, count);
      for (int m = 0; m < rows; m++) StorePart(c + m * cRow + v * kLanes, sums[m][v] + added, count);
    }
    return;
  }
#pragma GCC unroll 4
  for (int v = 0; v < vectors; v++) {
    const Floats added = bias == nullptr ? All(0) : Load(bias + v * kLanes);
#pragma GCC unroll 16
    for (int m = 0; m < rows; m++) Store(c + m * cRow + v * kLanes, sums[m][v] + added);
  }
}

/** Panels of B that lie one after the other, with the words of K from `firstWord` on. */
struct Panels {
  const float* words;
  int64_t count;
  int64_t firstWord;
  int64_t depth;
};

/** A tile goes by all panels, while what it needs of A is in the first cache. */
template <typename Word, Left left, int vectors, typename Out>
static void ProductOfPanels(const ProductPart& part, const Panels& panels, Former former,
                            int64_t formerRow, const float* bias, Out* c, int64_t cRow, int64_t columns) {
  const int64_t aRow = left == Left::kTiles ? 1 : part.aRow;
  const int64_t aTile = left == Left::kTiles ? part.aTile : kProductRows * aRow;
  const float* first = part.a + panels.firstWord * (left == Left::kTiles ? kProductRows : 1);
  const auto tiles = [&](auto rows, int64_t m) {
    for (; m + rows <= part.rows; m += rows) {
      const float* a = first + m / kProductRows * aTile + m % kProductRows * aRow;
      for (int64_t i = 0; i < panels.count; i++) {
        const int64_t n = i * vectors * kLanes;
        ProductTile<Word, left, rows, vectors>(a, aRow, panels.words + n * panels.depth, panels.depth,
                                               former == nullptr ? nullptr : former + m * formerRow + n, formerRow,
                                               bias == nullptr ? nullptr : bias + n, c + m * cRow + n, cRow,
                                               columns - n);
      }
    }
    return m;
  };
  int64_t m = tiles(std::integral_constant<int, kProductRows>(), 0);
  m = tiles(std::integral_constant<int, 4>(), m);
  m = tiles(std::integral_constant<int, 2>(), m);
  tiles(std::integral_constant<int, 1>(), m);
}

/** Columns of C from `n` on, as many as `count` panels have or as there are. */
template <typename Word, Left left, int vectors, typename Right, typename Out>
static void ProductOfColumns(const ProductPart& part, int64_t n, int64_t count, int64_t unit, Scratch& scratch) {
  const auto* b = static_cast<const Right*>(part.b);
  const int64_t width = vectors * kLanes;
  const int64_t columns = std::min(part.endColumn - n, count * width);
  const int64_t words = (part.depth + Word::kPerWord - 1) / Word::kPerWord;
  float* panels = scratch.Get(Scratch::kPanels, unit * count * width);
  float* partial = words > unit ? scratch.Get(Scratch::kPartial, part.rows * count * width) : nullptr;
  // Once at least: without K there is the bias.
  for (int64_t first = 0; first == 0 || first < words; first += unit) {
    const int64_t depth = std::min(words - first, unit);
    const int64_t number = first * Word::kPerWord;
    const Right* from = b + number * (part.bTransposed ? 1 : part.bRow);
    PackPanels<Word>(from, part.bTransposed, part.bRow, std::min(part.depth - number, depth * Word::kPerWord), n,
                     part.endColumn, vectors, count, panels);
    const Panels packed = {panels, count, first, depth};
    const Former former = first == 0 ? nullptr : partial;
    if (first + depth < words) {
      ProductOfPanels<Word, left, vectors>(part, packed, former, count * width, nullptr, partial, count * width,
                                           count * width);
    } else {
      ProductOfPanels<Word, left, vectors>(part, packed, former, count * width,
                                           part.bias == nullptr ? nullptr : part.bias + n,
                                           static_cast<Out*>(part.c) + n, part.cRow, columns);
    }
  }
}

template <typename Word, Left left, typename Right, typename Out>
static void ProductWithLeft(const ProductPart& part) {
  static thread_local Scratch scratch;
  const int64_t words = (part.depth + Word::kPerWord - 1) / Word::kPerWord;
  const int64_t blocks = (words + kPanelWords - 1) / kPanelWords;
  const int64_t unit = blocks == 0 ? 1 : (words + blocks - 1) / blocks;
  const int64_t together = std::max<int64_t>(1, kPanelsSize / (unit * kProductColumns));
  for (int64_t n = part.firstColumn; n < part.endColumn;) {
    const int64_t rest = part.endColumn - n;
    const int64_t whole = std::min(rest / kProductColumns, together);
    if (rest > 2 * kLanes) {
      ProductOfColumns<Word, left, 3, Right, Out>(part, n, std::max<int64_t>(1, whole), unit, scratch);
    } else if (rest > kLanes) {
      ProductOfColumns<Word, left, 2, Right, Out>(part, n, 1, unit, scratch);
    } else {
      ProductOfColumns<Word, left, 1, Right, Out>(part, n, 1, unit, scratch);
    }
    n += std::max<int64_t>(1, whole) * kProductColumns;
  }
}

#if defined(T4_AVX512)

/** A part of C whose A and C have numbers of type T. */
template <typename T, typename Right>
static void ProductOfTypes(const ProductPart& part) {
  typedef typename WordsOf<T>::Type Word;
  if (part.aTile > 0) {
    ProductWithLeft<Word, Left::kTiles, Right, T>(part);
  } else {
    ProductWithLeft<Word, Left::kRows, Right, T>(part);
  }
}

template <typename T>
static void Product(const ProductPart& part) {
  if (part.bIsBfloat16) {
    if constexpr (sizeof(T) == sizeof(Bfloat16)) ProductOfTypes<T, Bfloat16>(part);
  } else {
    ProductOfTypes<T, float>(part);
  }
}

#endif

typedef void (*ProductFunction)(const ProductPart& part);

/** Null where TensorFlow's products, which are oneDNN's, are as fast. */
template <typename T>
static constexpr ProductFunction ProductOf() {
#if defined(T4_AVX512BF16)
  return Product<T>;
#elif defined(T4_AVX512)
  if constexpr (sizeof(T) == sizeof(float)) return Product<T>;
#endif
  return nullptr;
}

// Products of matrices: C[M, N] = A[M, K] B[K, N] + bias[N], each of A and B as it lies or transposed. Included once for
// each instruction set after attention.h, whose Scratch they use, inside the same namespace, hence no guard.
//
// A tile of C, 8 rows times 48 columns, stays in registers for all of K (as in Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication", 2008). B is copied to panels of 48 columns that lie in the second cache while all
// rows of A go by; A is read as it lies, unless it is transposed.

/**
 * Rows `first` to `first` + `count` of A, which is transposed, as tiles [words, 8] one after the other; or, where it is
 * not, as rows of whole words, which those of an odd number of bfloat16 values are not. Tiles are stored past the caches:
 * places as far apart as tiles are would displace one another there.
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
  for (int64_t word = 0; word < words; word += 2) {
    const T* ahead = a + (word + 8) * Word::kPerWord * stride + first;
    for (int64_t row = 0; row < 2 * Word::kPerWord; row++) Fetch(ahead + row * stride, count);
    // Two words of a tile are a line of memory.
    const bool isPair = word + 1 < words;
    for (int64_t row = 0; row < count; row += kLanes) {
      const Floats x = WordsOfColumns<Word>(a, stride, word, depth, first + row, first + count);
      const Floats y = isPair ? WordsOfColumns<Word>(a, stride, word + 1, depth, first + row, first + count) : All(0);
      const Floats tiles[2] = {__builtin_shuffle(x, y, Ints{0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23}),
                               __builtin_shuffle(x, y, Ints{8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31})};
      for (int64_t half = 0; half < 2 && row + half * kProductRows < count; half++) {
        float* place = to + (row + half * kProductRows) * words + word * kProductRows;
        if (isPair) {
          StorePastCaches(place, tiles[half]);
        } else {
          StorePart(place, tiles[half], kProductRows);
        }
      }
    }
  }
  FinishPastCaches();
}

/** How much of B is multiplied at once. */
struct Blocks {
  /** Of K: longer sums of floats would lose digits. */
  int64_t words;
  /** Words of all panels: they leave room in the second cache. */
  int64_t panels;
};

/** How A lies: in tiles [words, 8], or in rows. */
enum class Left { kTiles, kRows };

/**
 * What is multiplied after the panels at hand, where few rows of A go by: then it comes from memory while they do. Otherwise
 * that takes no time beside the products.
 */
struct Ahead {
  const char* row;
  /** Bytes from one row to the next. */
  int64_t stride;
  /** Of 64 bytes, in each row. */
  int64_t lines;
  /** How many rows to fetch in the time of 16 words; 0: none. */
  int64_t rows;
};

/** A tile of C: the words of A and of a panel of B, and what is added to their product. */
template <typename Out>
struct TileOf {
  const float* a;
  /** From one row of A to the next, and from one tile. */
  int64_t aRow;
  int64_t aTile;
  const float* b;
  int64_t words;
  /** The product of the words before these; null: there are none. */
  const float* former;
  int64_t formerRow;
  /** Null: not now, or none. */
  const float* bias;
  Out* c;
  int64_t cRow;
  /** How many of the tile's are stored, if there are as many. */
  int64_t columns;
};

template <typename Word, Left left, int rows, int vectors, typename Out>
static __attribute__((noinline)) void ProductTile(const TileOf<Out>& tile, Ahead& ahead) {
  Floats sums[rows][vectors];
#pragma GCC unroll 16
  for (int m = 0; m < rows; m++) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) sums[m][v] = All(0);
  }
  const float* a = tile.a;
  const float* b = tile.b;
  const int64_t aRow = tile.aRow;
  // Where the tile goes, and what it is added to, are there when the product is.
#pragma GCC unroll 16
  for (int m = 0; m < rows; m++) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
      __builtin_prefetch(tile.c + m * tile.cRow + v * kLanes, 1);
      if (tile.former != nullptr) __builtin_prefetch(tile.former + m * tile.formerRow + v * kLanes);
    }
  }
  for (int64_t block = 0; block < tile.words; block += kLanes) {
    // What the next tile reads of A.
#pragma GCC unroll 16
    for (int m = 0; m < rows; m++) {
      __builtin_prefetch(left == Left::kTiles ? a + tile.aTile + block * kProductRows + m * kLanes
                                              : a + (rows + m) * aRow + block);
    }
    for (int64_t i = 0; i < ahead.rows; i++, ahead.row += ahead.stride) {
      for (int64_t line = 0; line < ahead.lines; line++) __builtin_prefetch(ahead.row + 64 * line, 0, 2);
    }
    const int64_t end = std::min(tile.words, block + kLanes);
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
  if (tile.former != nullptr) {
#pragma GCC unroll 16
    for (int m = 0; m < rows; m++) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) sums[m][v] += Load(tile.former + m * tile.formerRow + v * kLanes);
    }
  }
  if (tile.columns < vectors * kLanes) {
    for (int v = 0; v < vectors && tile.columns > v * kLanes; v++) {
      const int64_t count = std::min(tile.columns - v * kLanes, kLanes);
      const Floats added = tile.bias == nullptr ? All(0) : LoadPart(tile.bias + v * kLanes, count);
      for (int m = 0; m < rows; m++) StorePart(tile.c + m * tile.cRow + v * kLanes, sums[m][v] + added, count);
    }
    return;
  }
#pragma GCC unroll 4
  for (int v = 0; v < vectors; v++) {
    const Floats added = tile.bias == nullptr ? All(0) : Load(tile.bias + v * kLanes);
#pragma GCC unroll 16
    for (int m = 0; m < rows; m++) Store(tile.c + m * tile.cRow + v * kLanes, sums[m][v] + added);
  }
}

/**
 * `whole` tells of all rows of A and of `panels` panels of B, which lie one after the other: a tile goes by them all while
 * what it needs of A is in the first cache.
 */
template <typename Word, Left left, int vectors, typename Out>
static void ProductOfPanels(const TileOf<Out>& whole, int64_t rowCount, int64_t panels, Ahead ahead) {
  const auto tiles = [&](auto rows, int64_t m) {
    for (; m + rows <= rowCount; m += rows) {
      for (int64_t i = 0; i < panels; i++) {
        const int64_t n = i * vectors * kLanes;
        TileOf<Out> tile = whole;
        tile.a += m / kProductRows * whole.aTile + m % kProductRows * whole.aRow;
        tile.b += n * whole.words;
        if (tile.former != nullptr) tile.former += m * whole.formerRow + n;
        if (tile.bias != nullptr) tile.bias += n;
        tile.c += m * whole.cRow + n;
        tile.columns -= n;
        ProductTile<Word, left, rows, vectors>(tile, ahead);
      }
    }
    return m;
  };
  int64_t m = tiles(std::integral_constant<int, kProductRows>(), 0);
  m = tiles(std::integral_constant<int, 4>(), m);
  m = tiles(std::integral_constant<int, 2>(), m);
  tiles(std::integral_constant<int, 1>(), m);
}

/** Columns of C from `n` on, as many as `count` panels have or as there are. `unit`: words of K at once. */
template <typename Word, Left left, int vectors, typename Right, typename Out>
static void ProductOfColumns(const ProductPart& part, int64_t n, int64_t count, int64_t unit, Scratch& scratch) {
  const int64_t width = count * vectors * kLanes;
  const int64_t words = (part.depth + Word::kPerWord - 1) / Word::kPerWord;
  const int64_t aRow = left == Left::kTiles ? 1 : part.aRow;
  const int64_t aTile = left == Left::kTiles ? part.aTile : kProductRows * aRow;
  float* panels = scratch.Get(Scratch::kPanels, unit * width);
  float* partial = words > unit ? scratch.Get(Scratch::kPartial, part.rows * width) : nullptr;
  float* sums = part.sums == nullptr ? nullptr : scratch.Get(Scratch::kColumnSums, width);
  const auto* b = static_cast<const Right*>(part.b);
  // Once at least: without K there is the bias.
  for (int64_t first = 0; first == 0 || first < words; first += unit) {
    const int64_t depth = std::min(words - first, unit);
    const int64_t number = first * Word::kPerWord;
    PackPanels<Word>(b + number * (part.bTransposed ? 1 : part.bRow), part.bTransposed, part.bRow,
                     std::min(part.depth - number, depth * Word::kPerWord), n, part.endColumn, vectors, count, panels,
                     sums);
    if (sums != nullptr) {
      for (int64_t i = 0; i < std::min(width, part.endColumn - n); i++) {
        part.sums[n + i] = first == 0 ? sums[i] : part.sums[n + i] + sums[i];
      }
    }
    const bool isLast = first + depth >= words;
    const auto product = [&](const float* bias, auto* c, int64_t cRow, int64_t columns) {
      const TileOf<std::remove_pointer_t<decltype(c)>> whole = {
          part.a + first * (left == Left::kTiles ? kProductRows : 1), aRow, aTile, panels, depth,
          first == 0 ? nullptr : partial, width, bias, c, cRow, columns};
      Ahead ahead = {};
      if (part.isFew && !part.bTransposed && !(isLast && n + width >= part.endColumn)) {
        const int64_t tiles = count * ((part.rows + kProductRows - 1) / kProductRows);
        const Right* next = isLast ? b + n + width : b + (first + depth) * Word::kPerWord * part.bRow + n;
        const auto size = static_cast<int64_t>(sizeof(Right));
        ahead = {reinterpret_cast<const char*>(next), part.bRow * size, (width * size + 63) / 64,
                 (kLanes * Word::kPerWord + tiles - 1) / tiles};
      }
      ProductOfPanels<Word, left, vectors>(whole, part.rows, count, ahead);
    };
    if (isLast) {
      product(part.bias == nullptr ? nullptr : part.bias + n, static_cast<Out*>(part.c) + n, part.cRow,
              std::min(part.endColumn - n, width));
    } else {
      product(nullptr, partial, width, width);
    }
  }
}

template <typename Word, Left left, typename Right, typename Out>
static void ProductWithLeft(const ProductPart& part) {
  static thread_local Scratch scratch;
  const int64_t words = (part.depth + Word::kPerWord - 1) / Word::kPerWord;
  // Beside few rows of A it is getting B that takes the time: the less there is at once, the sooner the rest is on its way.
  const Blocks limits = part.isFew ? Blocks{192, 36864} : Blocks{768, 81920};
  const int64_t blocks = std::max<int64_t>(1, (words + limits.words - 1) / limits.words);
  const int64_t unit = std::max<int64_t>(1, (words + blocks - 1) / blocks);
  const int64_t together = std::max<int64_t>(1, limits.panels / (unit * kProductColumns));
  int64_t n = part.firstColumn;
  for (; n + kProductColumns <= part.endColumn;) {
    const int64_t count = std::min((part.endColumn - n) / kProductColumns, together);
    ProductOfColumns<Word, left, 3, Right, Out>(part, n, count, unit, scratch);
    n += count * kProductColumns;
  }
  const int64_t rest = part.endColumn - n;
  if (rest > 2 * kLanes) {
    ProductOfColumns<Word, left, 3, Right, Out>(part, n, 1, unit, scratch);
  } else if (rest > kLanes) {
    ProductOfColumns<Word, left, 2, Right, Out>(part, n, 1, unit, scratch);
  } else if (rest > 0) {
    ProductOfColumns<Word, left, 1, Right, Out>(part, n, 1, unit, scratch);
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

// Dot-product attention of one head, forward and backward. Included once for each instruction set after panels.h, inside
// the same namespace, hence no guard.
//
// Scores and probabilities of a head live in the cache and nowhere else (as in FlashAttention, arXiv:2205.14135; whole rows
// are kept at once, because sentences are short). The backward pass computes them again from what the forward pass says of
// each row: its maximum, and the inverse of the sum of exponentials.
//
// All products are one: C[M, N] = A[M, K] B[K, N].

#if defined(T4_AVX512)
constexpr int64_t kTileRows = 8;
constexpr int64_t kTileVectors = 2;
#else
constexpr int64_t kTileRows = 6;
constexpr int64_t kTileVectors = 1;
#endif
/** Columns of B that lie together: B is stored as panels [K, kPanel], the last of which may be narrower. */
constexpr int64_t kPanel = kTileVectors * kLanes;

/** C[rows, vectors * 16] (+)= A B for one tile; A's word (m, k) is at m * aRow + k * aColumn. */
template <typename Word, int rows, int vectors>
T4_INLINE void Tile(const float* a, int64_t aRow, int64_t aColumn, const float* b, float* c, int64_t cRow, int64_t depth,
                    bool adds) {
  Floats sums[rows][vectors];
#pragma GCC unroll 16
  for (int m = 0; m < rows; m++) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) sums[m][v] = adds ? Load(c + m * cRow + v * kLanes) : All(0);
  }
  for (int64_t k = 0; k < depth; k++) {
    Floats columns[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) columns[v] = Load(b + (k * vectors + v) * kLanes);
#pragma GCC unroll 16
    for (int m = 0; m < rows; m++) {
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) Word::Add(&sums[m][v], a + m * aRow + k * aColumn, columns[v]);
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < rows; m++) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) Store(c + m * cRow + v * kLanes, sums[m][v]);
  }
}

template <typename Word, int vectors>
static void PanelProduct(const float* a, int64_t aRow, int64_t aColumn, const float* b, float* c, int64_t cRow,
                         int64_t rows, int64_t depth, bool adds) {
  int64_t m = 0;
  for (; m + kTileRows <= rows; m += kTileRows) {
    Tile<Word, kTileRows, vectors>(a + m * aRow, aRow, aColumn, b, c + m * cRow, cRow, depth, adds);
  }
  for (; m + 2 <= rows; m += 2) {
    Tile<Word, 2, vectors>(a + m * aRow, aRow, aColumn, b, c + m * cRow, cRow, depth, adds);
  }
  if (m < rows) Tile<Word, 1, vectors>(a + m * aRow, aRow, aColumn, b, c + m * cRow, cRow, depth, adds);
}

/** C[rows, columns] = A B, or with `adds` C += A B. `columns` is a multiple of 16, `depth` is in words. */
template <typename Word>
static void Product(const float* a, int64_t aRow, int64_t aColumn, const float* b, float* c, int64_t cRow, int64_t rows,
                    int64_t columns, int64_t depth, bool adds) {
  for (int64_t n = 0; n < columns; n += kPanel) {
    if (columns - n >= kPanel) {
      PanelProduct<Word, kTileVectors>(a, aRow, aColumn, b + n * depth, c + n, cRow, rows, depth, adds);
    } else {
      PanelProduct<Word, 1>(a, aRow, aColumn, b + n * depth, c + n, cRow, rows, depth, adds);
    }
  }
}

/** A head's rows of `width` elements, `stride` apart. */
template <typename T>
struct HeadRows {
  const T* data;
  int64_t count;
  int64_t width;
  int64_t stride;
  const T* at(int64_t row) const { return data + row * stride; }
  HeadRows part(int64_t first, int64_t rows) const { return {at(first), rows, width, stride}; }
};

/** An A: its word (m, k) is at words[m * row + k * column]. */
struct Operand {
  const float* words;
  int64_t row;
  int64_t column;
};

/**
 * As a B of `columns`, a multiple of 16: its rows are the head's, or with `transposed` its columns are. What is there of it
 * beyond the head is 0.
 */
template <typename Word, typename T>
static void PackHead(const HeadRows<T>& rows, bool transposed, int64_t columns, float* to) {
  const int64_t depth = transposed ? rows.width : rows.count;
  const int64_t there = transposed ? rows.count : rows.width;
  const int64_t whole = columns / kPanel * kPanel;
  PackPanels<Word>(rows.data, transposed, rows.stride, depth, 0, there, kTileVectors, columns / kPanel, to);
  if (whole == columns) return;
  const int64_t words = (depth + Word::kPerWord - 1) / Word::kPerWord;
  PackPanels<Word>(rows.data, transposed, rows.stride, depth, whole, there, 1, 1, to + whole * words);
}

/** Rows of floats, `width` of them a multiple of 16, as an A of what Word::kPerWord tells. */
template <typename Word>
static Operand RowsOperand(const float* values, int64_t rows, int64_t width, float* scratch) {
  if (Word::kPerWord == 1) return {values, width, 1};
  for (int64_t i = 0; i < rows * width; i += kLanes) {
    const Shorts narrow = Narrow(Load(values + i));
    std::memcpy(scratch + i / 2, &narrow, sizeof narrow);
  }
  return {scratch, width / 2, 1};
}

/** The same, transposed. */
template <typename Word>
static Operand ColumnsOperand(const float* values, int64_t rows, int64_t width, float* scratch) {
  if (Word::kPerWord == 1) return {values, 1, width};
  for (int64_t row = 0; row < rows; row += 2) {
    for (int64_t i = 0; i < width; i += kLanes) {
      const float* even = values + row * width + i;
      const Floats odd = row + 1 < rows ? Load(even + width) : All(0);
      Store(scratch + row / 2 * width + i, Interleave(Narrow(Load(even)), Narrow(odd)));
    }
  }
  return {scratch, 1, width};
}

/** Stores rows of floats, times `factor`, where a head's rows of `width` elements are. */
template <typename T>
static void StoreRows(const float* values, int64_t valueRow, float factor, T* to, int64_t stride, int64_t width,
                      int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    const float* from = values + row * valueRow;
    T* place = to + row * stride;
    int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) Store(place + i, Load(from + i) * All(factor));
    if (i < width) StorePart(place + i, Load(from + i) * All(factor), width - i);
  }
}

/** A key of a smaller bias is hidden. */
constexpr float kHidden = -1e8f;

/**
 * How many of the keys have to be looked at: all to the last that is not hidden. What is behind it has a weight of exactly
 * 0 beside one that is not hidden.
 */
T4_INLINE int64_t VisibleKeys(const float* bias, int64_t keys) {
  int64_t count = keys;
  while (count > 0 && bias[count - 1] < kHidden) count--;
  return count > 0 ? count : keys;
}

/** Memory of a thread, aligned to vectors and kept for the next head. */
class Scratch {
 public:
  enum Use { kQuery, kKey, kValue, kKeyRows, kOutput, kQueryDepth, kOutputDepth, kScores, kSlopes, kBias, kWords, kSums,
             kKeySums, kValueSums, kPanels, kPartial, kColumnSums, kUses };
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    for (float* buffer : buffers_) std::free(buffer);
  }
  float* Get(Use use, int64_t count) {
    if (sizes_[use] < count) {
      std::free(buffers_[use]);
      sizes_[use] = RoundUp(count, 1024);
      buffers_[use] = static_cast<float*>(std::aligned_alloc(64, static_cast<size_t>(sizes_[use]) * sizeof(float)));
    }
    return buffers_[use];
  }

 private:
  float* buffers_[kUses] = {};
  int64_t sizes_[kUses] = {};
};

/** As an A: where they lie, unless rows are not of whole words; then copied, in rows of `rowWords`. */
template <typename Word, typename T>
static Operand HeadOperand(const HeadRows<T>& rows, int64_t rowWords, Scratch& scratch, Scratch::Use use) {
  const bool isWhole = rows.width % Word::kPerWord == 0 && rows.stride % Word::kPerWord == 0;
  if (isWhole && sizeof(T) * Word::kPerWord == sizeof(float)) {
    return {reinterpret_cast<const float*>(rows.data), rows.stride / Word::kPerWord, 1};
  }
  float* copy = scratch.Get(use, rows.count * rowWords);
  for (int64_t row = 0; row < rows.count; row++) {
    for (int64_t word = 0; word < rowWords; word += kLanes) {
      Store(copy + row * rowWords + word, LoadWords<Word>(rows.at(row), word, rows.width));
    }
  }
  return {copy, rowWords, 1};
}

/** What both directions need of a head. */
template <typename T>
struct HeadSizes {
  typedef typename WordsOf<T>::Type Word;
  int64_t keys;
  int64_t keyColumns;
  int64_t widthColumns;
  int64_t widthWords;
  int64_t widthRow;
  int64_t keyWords;
  /** Of a block whose scores stay in the nearest caches; even, so that pairs of rows do not cross blocks. */
  int64_t blockRows;
  HeadRows<T> query;
  HeadRows<T> key;
  HeadRows<T> value;

  explicit HeadSizes(const AttentionHead<T>& head)
      : keys(VisibleKeys(head.bias, head.keys)),
        keyColumns(RoundUp(keys, kLanes)),
        widthColumns(RoundUp(head.width, kLanes)),
        widthWords((head.width + Word::kPerWord - 1) / Word::kPerWord),
        widthRow(RoundUp(widthWords, kLanes)),
        keyWords((keys + Word::kPerWord - 1) / Word::kPerWord),
        blockRows(std::max<int64_t>(8, 16384 / keyColumns / 8 * 8)),
        query{head.query, head.queries, head.width, head.stride},
        key{head.key, keys, head.width, head.stride},
        value{head.value, keys, head.width, head.stride} {}
};

/** scores * scale + bias -> exponentials of their distance to the maximum; returns the two numbers that tell the row. */
T4_INLINE void RowSoftmax(float* row, const float* bias, float scale, int64_t columns, float statistics[2]) {
  Floats most = All(-INFINITY);
  for (int64_t i = 0; i < columns; i += kLanes) {
    const Floats v = Load(row + i) * All(scale) + Load(bias + i);
    Store(row + i, v);
    // A comparison with NaN is false: then NaN stays, and is not lost.
    most = most >= v ? most : v;
  }
  const float largest = Largest(most);
  Floats total = All(0);
  for (int64_t i = 0; i < columns; i += kLanes) {
    const Floats e = Exp(Load(row + i) - All(largest));
    Store(row + i, e);
    total += e;
  }
  statistics[0] = largest;
  statistics[1] = 1.0f / Sum(total);
}

T4_INLINE Floats KeptLanes(const uint8_t* kept, float scale) {
  Bytes bytes;
  std::memcpy(&bytes, kept, sizeof bytes);
  return ToFloats(bytes) * All(scale);
}

/** The bias of the keys that are looked at; behind them -infinity, which makes weights of 0 of what is there. */
template <typename T>
static const float* PaddedBias(const AttentionHead<T>& head, const HeadSizes<T>& sizes, Scratch& scratch) {
  float* bias = scratch.Get(Scratch::kBias, sizes.keyColumns);
  for (int64_t i = 0; i < sizes.keyColumns; i++) bias[i] = i < sizes.keys ? head.bias[i] : -INFINITY;
  return bias;
}

/** Fetches rows of a head, which are far from one another: the processor does not foresee them. */
template <typename T>
T4_INLINE void FetchRows(const T* rows, int64_t stride, int64_t width, int64_t first, int64_t end) {
  if (rows == nullptr) return;
  for (int64_t row = first; row < end; row++) Fetch<2>(rows + row * stride, width);
}

/** Fetches of the head that comes next its share for one of `head`'s queries, so that memory is busy all the time. */
template <typename T>
T4_INLINE void FetchNext(const AttentionHead<T>& head, int64_t query) {
  if (head.next == nullptr) return;
  const AttentionHead<T>& next = *head.next;
  FetchRows(next.query, next.stride, next.width, query, query + 1);
  FetchRows(next.dContext, next.contextStride, next.width, query, query + 1);
  const int64_t first = query * next.keys / next.queries;
  const int64_t end = (query + 1) * next.keys / next.queries;
  FetchRows(next.key, next.stride, next.width, first, end);
  FetchRows(next.value, next.stride, next.width, first, end);
}

/** `statistics` [queries, 2] may be null. */
template <typename T>
static void Attention(const AttentionHead<T>& head, T* context, float* statistics) {
  typedef typename WordsOf<T>::Type Word;
  static thread_local Scratch scratch;
  const HeadSizes<T> sizes(head);
  const int64_t columns = sizes.keyColumns;
  float* keys = scratch.Get(Scratch::kKey, sizes.widthWords * columns);
  float* values = scratch.Get(Scratch::kValue, sizes.keyWords * sizes.widthColumns);
  float* scores = scratch.Get(Scratch::kScores, sizes.blockRows * columns);
  float* words = scratch.Get(Scratch::kWords, sizes.blockRows * columns);
  float* sums = scratch.Get(Scratch::kSums, sizes.blockRows * sizes.widthColumns);
  const float* bias = PaddedBias(head, sizes, scratch);
  const Operand queries = HeadOperand<Word>(sizes.query, sizes.widthRow, scratch, Scratch::kQuery);
  PackHead<Word>(sizes.key, true, columns, keys);
  PackHead<Word>(sizes.value, false, sizes.widthColumns, values);
  for (int64_t first = 0; first < head.queries; first += sizes.blockRows) {
    const int64_t rows = std::min(sizes.blockRows, head.queries - first);
    Product<Word>(queries.words + first * queries.row, queries.row, 1, keys, scores, columns, rows, columns,
                  sizes.widthWords, false);
    for (int64_t row = 0; row < rows; row++) {
      FetchNext(head, first + row);
      float* weights = scores + row * columns;
      float told[2];
      RowSoftmax(weights, bias, head.scale, columns, told);
      if (statistics) std::memcpy(statistics + 2 * (first + row), told, sizeof told);
      const uint8_t* kept = head.kept ? head.kept + (first + row) * head.keys : nullptr;
      for (int64_t i = 0; i < columns; i += kLanes) {
        const Floats weight = Load(weights + i) * All(told[1]);
        Store(weights + i, kept ? weight * KeptLanes(kept + i, head.keptScale) : weight);
      }
    }
    const Operand weights = RowsOperand<Word>(scores, rows, columns, words);
    Product<Word>(weights.words, weights.row, weights.column, values, sums, sizes.widthColumns, rows,
                  sizes.widthColumns, sizes.keyWords, false);
    StoreRows(sums, sizes.widthColumns, 1, context + first * head.contextStride, head.contextStride, head.width,
              rows);
  }
}

/** Gradients of what `Attention` was given; `statistics` as it told them. */
template <typename T>
static void AttentionGrad(const AttentionHead<T>& head, const float* statistics, T* dQuery, T* dKey, T* dValue) {
  typedef typename WordsOf<T>::Type Word;
  static thread_local Scratch scratch;
  const HeadSizes<T> sizes(head);
  const HeadRows<T> output = {head.dContext, head.queries, head.width, head.contextStride};
  const int64_t columns = sizes.keyColumns;
  const int64_t width = sizes.widthColumns;
  float* keys = scratch.Get(Scratch::kKey, sizes.widthWords * columns);
  float* values = scratch.Get(Scratch::kValue, sizes.widthWords * columns);
  float* keyRows = scratch.Get(Scratch::kKeyRows, sizes.keyWords * width);
  float* queryDepth = scratch.Get(Scratch::kQueryDepth, sizes.blockRows * width);
  float* outputDepth = scratch.Get(Scratch::kOutputDepth, sizes.blockRows * width);
  float* scores = scratch.Get(Scratch::kScores, sizes.blockRows * columns);
  float* slopes = scratch.Get(Scratch::kSlopes, sizes.blockRows * columns);
  float* words = scratch.Get(Scratch::kWords, sizes.blockRows * columns);
  float* sums = scratch.Get(Scratch::kSums, sizes.blockRows * width);
  float* keySums = scratch.Get(Scratch::kKeySums, sizes.keys * width);
  float* valueSums = scratch.Get(Scratch::kValueSums, sizes.keys * width);
  const float* bias = PaddedBias(head, sizes, scratch);
  const Operand queries = HeadOperand<Word>(sizes.query, sizes.widthRow, scratch, Scratch::kQuery);
  const Operand outputs = HeadOperand<Word>(output, sizes.widthRow, scratch, Scratch::kOutput);
  PackHead<Word>(sizes.key, true, columns, keys);
  PackHead<Word>(sizes.value, true, columns, values);
  PackHead<Word>(sizes.key, false, width, keyRows);
  for (int64_t first = 0; first < head.queries; first += sizes.blockRows) {
    const int64_t rows = std::min(sizes.blockRows, head.queries - first);
    const int64_t depth = (rows + Word::kPerWord - 1) / Word::kPerWord;
    const bool adds = first > 0;
    Product<Word>(queries.words + first * queries.row, queries.row, 1, keys, scores, columns, rows, columns,
                  sizes.widthWords, false);
    Product<Word>(outputs.words + first * outputs.row, outputs.row, 1, values, slopes, columns, rows, columns,
                  sizes.widthWords, false);
    for (int64_t row = 0; row < rows; row++) {
      FetchNext(head, first + row);
      float* weights = scores + row * columns;
      float* slope = slopes + row * columns;
      const float* told = statistics + 2 * (first + row);
      const uint8_t* kept = head.kept ? head.kept + (first + row) * head.keys : nullptr;
      Floats products = All(0);
      for (int64_t i = 0; i < columns; i += kLanes) {
        const Floats v = Load(weights + i) * All(head.scale) + Load(bias + i);
        const Floats weight = Exp(v - All(told[0])) * All(told[1]);
        Floats d = Load(slope + i);
        if (kept) d = d * KeptLanes(kept + i, head.keptScale);
        Store(weights + i, weight);
        Store(slope + i, d);
        products += weight * d;
      }
      const float mean = Sum(products);
      for (int64_t i = 0; i < columns; i += kLanes) {
        const Floats weight = Load(weights + i);
        Store(slope + i, weight * (Load(slope + i) - All(mean)));
        if (kept) Store(weights + i, weight * KeptLanes(kept + i, head.keptScale));
      }
    }
    PackHead<Word>(output.part(first, rows), false, width, outputDepth);
    const Operand left = ColumnsOperand<Word>(scores, rows, columns, words);
    Product<Word>(left.words, left.row, left.column, outputDepth, valueSums, width, sizes.keys, width, depth, adds);
    PackHead<Word>(sizes.query.part(first, rows), false, width, queryDepth);
    const Operand turned = ColumnsOperand<Word>(slopes, rows, columns, words);
    Product<Word>(turned.words, turned.row, turned.column, queryDepth, keySums, width, sizes.keys, width, depth, adds);
    const Operand straight = RowsOperand<Word>(slopes, rows, columns, words);
    Product<Word>(straight.words, straight.row, straight.column, keyRows, sums, width, rows, width, sizes.keyWords,
                  false);
    StoreRows(sums, width, head.scale, dQuery + first * head.stride, head.stride, head.width, rows);
  }
  StoreRows(keySums, width, head.scale, dKey, head.stride, head.width, sizes.keys);
  StoreRows(valueSums, width, 1, dValue, head.stride, head.width, sizes.keys);
  for (int64_t row = sizes.keys; row < head.keys; row++) {
    std::memset(dKey + row * head.stride, 0, static_cast<size_t>(head.width) * sizeof(T));
    std::memset(dValue + row * head.stride, 0, static_cast<size_t>(head.width) * sizeof(T));
  }
}

/** Decisions of numbers 64 * first to before 64 * end of a stream, by their upper and by their lower halves. */
static void DrawKept(const PhiloxStream& stream, int32_t threshold, int64_t first, int64_t end, uint8_t* upper,
                     uint8_t* lower) {
  for (int64_t i = first; i < end; i++) {
    Decide(stream, 64 * i, threshold, upper + 64 * (i - first), lower + 64 * (i - first));
  }
}

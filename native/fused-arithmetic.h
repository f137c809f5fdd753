// The arithmetic of the fused ops, on vectors of 16 floats. Included once for each instruction set, inside a namespace of
// its own (fused-kernels.h), hence no guard. Every function computes a part of the whole, so that parts may run on several
// threads; no sum depends on how many there are.

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint8_t Bytes __attribute__((vector_size(16)));

#define T4_INLINE static inline __attribute__((always_inline))

constexpr int64_t kLanes = 16;

T4_INLINE Floats All(float x) { return Floats{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }

T4_INLINE Floats Load(const float* from) {
  Floats v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

T4_INLINE void Store(float* to, const Floats& v) { std::memcpy(to, &v, sizeof v); }

/** Leaves the caches to others, where `to` is the start of a line of them. Followed by FinishPastCaches. */
T4_INLINE void StorePastCaches(float* to, const Floats& v) {
#if defined(T4_AVX512)
  if (reinterpret_cast<uintptr_t>(to) % sizeof v == 0) {
    __m512 line;
    std::memcpy(&line, &v, sizeof v);
    _mm512_stream_ps(to, line);
    return;
  }
#endif
  Store(to, v);
}

/** From here on other threads see what was stored past the caches. */
T4_INLINE void FinishPastCaches() {
#if defined(T4_AVX512)
  _mm_sfence();
#endif
}

/** Has `count` numbers fetched, into the nearest cache or, with a locality of 2, into the second one. */
template <int locality = 3, typename T>
T4_INLINE void Fetch(const T* from, int64_t count) {
  constexpr int64_t perLine = 64 / sizeof(T);
  for (int64_t i = 0; i < count; i += perLine) __builtin_prefetch(from + i, 0, locality);
}

/** The first `count` lanes; the others are 0. */
T4_INLINE Floats LoadPart(const float* from, int64_t count) {
  Floats v = All(0);
  std::memcpy(&v, from, static_cast<size_t>(count) * sizeof(float));
  return v;
}

T4_INLINE void StorePart(float* to, const Floats& v, int64_t count) {
  std::memcpy(to, &v, static_cast<size_t>(count) * sizeof(float));
}

typedef uint16_t Shorts __attribute__((vector_size(32)));

T4_INLINE Floats Widen(const Shorts& bits) {
  const Words wide = __builtin_convertvector(bits, Words) << 16;
  return reinterpret_cast<Floats>(wide);
}

/** To the nearest, ties to even. */
T4_INLINE Shorts Narrow(const Floats& v) {
#if defined(T4_AVX512BF16)
  __m512 x;
  std::memcpy(&x, &v, sizeof x);
  const __m256bh narrow = _mm512_cvtneps_pbh(x);
  Shorts bits;
  std::memcpy(&bits, &narrow, sizeof bits);
  return bits;
#else
  const Words bits = reinterpret_cast<Words>(v);
  const Words rounded = (bits + ((bits >> 16 & 1) + 0x7fff)) >> 16;
  const Words isNumber = reinterpret_cast<Words>(v == v);
  return __builtin_convertvector((rounded & isNumber) | (~isNumber & 0x7fc0), Shorts);
#endif
}

T4_INLINE Floats Load(const Bfloat16* from) {
  Shorts bits;
  std::memcpy(&bits, from, sizeof bits);
  return Widen(bits);
}

T4_INLINE void Store(Bfloat16* to, const Floats& v) {
  const Shorts bits = Narrow(v);
  std::memcpy(to, &bits, sizeof bits);
}

T4_INLINE Floats LoadPart(const Bfloat16* from, int64_t count) {
  Shorts bits = {};
  std::memcpy(&bits, from, static_cast<size_t>(count) * sizeof *from);
  return Widen(bits);
}

T4_INLINE void StorePart(Bfloat16* to, const Floats& v, int64_t count) {
  const Shorts bits = Narrow(v);
  std::memcpy(to, &bits, static_cast<size_t>(count) * sizeof *to);
}

T4_INLINE float Sum(const Floats& v) {
#if defined(T4_AVX512)
  __m512 x;
  std::memcpy(&x, &v, sizeof x);
  return _mm512_reduce_add_ps(x);  // in the order below
#else
  float lanes[kLanes];
  std::memcpy(lanes, &v, sizeof lanes);
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; i++) lanes[i] += lanes[i + width];
  }
  return lanes[0];
#endif
}

T4_INLINE float Largest(const Floats& v) {
#if defined(T4_AVX512)
  __m512 x;
  std::memcpy(&x, &v, sizeof x);
  return _mm512_reduce_max_ps(x);
#else
  float lanes[kLanes];
  std::memcpy(lanes, &v, sizeof lanes);
  float largest = lanes[0];
  for (int64_t i = 1; i < kLanes; i++) largest = lanes[i] > largest ? lanes[i] : largest;
  return largest;
#endif
}

/** 16 numbers as floats. Compilers make a number at a time of what is said in general. */
T4_INLINE Floats ToFloats(const Bytes& bytes) {
#if defined(T4_AVX512)
  __m128i x;
  std::memcpy(&x, &bytes, sizeof x);
  const __m512 v = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(x));
  Floats floats;
  std::memcpy(&floats, &v, sizeof floats);
  return floats;
#elif defined(T4_AVX2)
  __m128i x;
  std::memcpy(&x, &bytes, sizeof x);
  const __m256 v[2] = {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(x)),
                       _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(x, 8)))};
  Floats floats;
  std::memcpy(&floats, v, sizeof floats);
  return floats;
#else
  return __builtin_convertvector(bytes, Floats);
#endif
}

/** e^x to 2 units of the last place (Cephes' expf); 0 below -87.3, where floats end, and e^88.3 above 88.3. */
T4_INLINE Floats Exp(const Floats& x) {
  const Floats low = All(-87.3f);
  const Floats high = All(88.3f);
  Floats c = x < low ? low : x;
  c = c > high ? high : c;
  const Floats magic = All(12582912.f);  // 1.5 * 2^23: adding it rounds to a whole number
  const Floats n = (c * All(1.44269504088896341f) + magic) - magic;
  const Floats r = (c - n * All(0.693359375f)) - n * All(-2.12194440e-4f);
  Floats p = All(1.9875691500e-4f);
  p = p * r + All(1.3981999507e-3f);
  p = p * r + All(8.3334519073e-3f);
  p = p * r + All(4.1665795894e-2f);
  p = p * r + All(1.6666665459e-1f);
  p = p * r + All(5.0000001201e-1f);
  p = p * (r * r) + r + All(1);
#if defined(T4_AVX512)
  __m512 v;
  __m512 exponent;
  std::memcpy(&v, &p, sizeof v);
  std::memcpy(&exponent, &n, sizeof exponent);
  v = _mm512_scalef_ps(v, exponent);
  std::memcpy(&p, &v, sizeof p);
  return x < low ? All(0) : p;
#else
  const Ints bits = (__builtin_convertvector(n, Ints) + 127) << 23;
  Floats power;
  std::memcpy(&power, &bits, sizeof power);
  return x < low ? All(0) : p * power;
#endif
}

/** The error function by a quotient of polynomials (Eigen's `erf`); beyond 4 it is 1 in float32. */
T4_INLINE Floats Erf(const Floats& given) {
  Floats x = given > All(4) ? All(4) : given;
  x = x < All(-4) ? All(-4) : x;
  const Floats s = x * x;
  Floats p = All(-2.72614225801306e-10f);
  p = p * s + All(2.77068142495902e-08f);
  p = p * s + All(-2.10102402082508e-06f);
  p = p * s + All(-5.69250639462346e-05f);
  p = p * s + All(-7.34990630326855e-04f);
  p = p * s + All(-2.95459980854025e-03f);
  p = p * s + All(-1.60960333262415e-02f);
  Floats q = All(-1.45660718464996e-05f);
  q = q * s + All(-2.13374055278905e-04f);
  q = q * s + All(-1.68282697438203e-03f);
  q = q * s + All(-7.37332916720468e-03f);
  q = q * s + All(-1.42647390514189e-02f);
  return x * p / q;
}

/** x Phi(x), and its slope Phi(x) + x phi(x). */
T4_INLINE Floats GeluErf(const Floats& x, Floats* slope) {
  const Floats cdf = Erf(x * All(0.70710678118654752f)) * All(0.5f) + All(0.5f);
  if (slope != nullptr) *slope = cdf + x * All(0.39894228040143268f) * Exp(x * x * All(-0.5f));
  return x * cdf;
}

/** 0.5 x (1 + tanh t), t = sqrt(2 / pi) (x + 0.044715 x^3); half of 1 + tanh t is the logistic function of 2 t. */
T4_INLINE Floats GeluTanh(const Floats& x, Floats* slope) {
  const Floats twice = All(2 * 0.79788456080286536f);
  const Floats square = x * x;
  const Floats e = Exp(-(twice * x * (All(1) + All(0.044715f) * square)));
  const Floats share = All(1) / (All(1) + e);
  if (slope != nullptr) {
    // e * share is 1 - share, without the loss of digits where that is small.
    *slope = share + x * share * (e * share) * twice * (All(1) + All(3 * 0.044715f) * square);
  }
  return x * share;
}

/** `y` may be `x`. */
template <typename T>
static void Gelu(const T* x, T* y, bool tanh, int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    const Floats v = Load(x + i);
    Store(y + i, tanh ? GeluTanh(v, nullptr) : GeluErf(v, nullptr));
  }
  if (i == end) return;
  const Floats rest = LoadPart(x + i, end - i);
  StorePart(y + i, tanh ? GeluTanh(rest, nullptr) : GeluErf(rest, nullptr), end - i);
}

T4_INLINE Floats GeluSlope(const Floats& x, bool tanh) {
  Floats slope;
  if (tanh) {
    GeluTanh(x, &slope);
  } else {
    GeluErf(x, &slope);
  }
  return slope;
}

/** `dx` may be `dy` or `x`. */
template <typename T>
static void GeluGrad(const T* dy, const T* x, T* dx, bool tanh, int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) Store(dx + i, Load(dy + i) * GeluSlope(Load(x + i), tanh));
  if (i == end) return;
  const int64_t rest = end - i;
  StorePart(dx + i, LoadPart(dy + i, rest) * GeluSlope(LoadPart(x + i, rest), tanh), rest);
}

/** Rows of `width`: y = normal * gamma + beta. `residual`, `normal` and `inverse` may be null; `y` may be `x` or `residual`. */
template <typename T>
static void LayerNorm(const T* x, const float* residual, const float* gamma, const float* beta, float epsilon,
                      float* y, float* normal, float* inverse, int64_t width, int64_t begin, int64_t end) {
  const int64_t whole = width - width % kLanes;
  const int64_t rest = width - whole;
  const float share = 1.0f / static_cast<float>(width);
  for (int64_t row = begin; row < end; row++) {
    const int64_t at = row * width;
    float* to = y + at;
    Floats total = All(0);
    for (int64_t i = 0; i < whole; i += kLanes) {
      Floats v = Load(x + at + i);
      if (residual) v += Load(residual + at + i);
      Store(to + i, v);
      total += v;
    }
    if (rest) {
      Floats v = LoadPart(x + at + whole, rest);
      if (residual) v += LoadPart(residual + at + whole, rest);
      StorePart(to + whole, v, rest);
      total += v;
    }
    const float mean = Sum(total) * share;
    Floats squares = All(0);
    for (int64_t i = 0; i < whole; i += kLanes) {
      const Floats c = Load(to + i) - All(mean);
      squares += c * c;
    }
    float variance = Sum(squares);
    for (int64_t i = whole; i < width; i++) variance += (to[i] - mean) * (to[i] - mean);
    const float scale = 1.0f / std::sqrt(variance * share + epsilon);
    if (inverse) inverse[row] = scale;
    for (int64_t i = 0; i < whole; i += kLanes) {
      const Floats n = (Load(to + i) - All(mean)) * All(scale);
      if (normal) Store(normal + at + i, n);
      Store(to + i, n * Load(gamma + i) + Load(beta + i));
    }
    for (int64_t i = whole; i < width; i++) {
      const float n = (to[i] - mean) * scale;
      if (normal) normal[at + i] = n;
      to[i] = n * gamma[i] + beta[i];
    }
  }
}

/** Of dy + more; `more` may be null. `dgamma` and `dbeta` [width] get the sums over these rows; `dx` may be `dy`. */
template <typename T>
static void LayerNormGrad(const float* dy, const T* more, const float* normal, const float* inverse,
                          const float* gamma, float* dx, float* dgamma, float* dbeta, int64_t width, int64_t begin,
                          int64_t end) {
  const int64_t whole = width - width % kLanes;
  const float share = 1.0f / static_cast<float>(width);
  std::memset(dgamma, 0, static_cast<size_t>(width) * sizeof(float));
  std::memset(dbeta, 0, static_cast<size_t>(width) * sizeof(float));
  for (int64_t row = begin; row < end; row++) {
    const float* d = dy + row * width;
    float* to = dx + row * width;
    if (more) {
      const T* m = more + row * width;
      for (int64_t i = 0; i < whole; i += kLanes) Store(to + i, Load(d + i) + Load(m + i));
      if (whole < width) {
        StorePart(to + whole, LoadPart(d + whole, width - whole) + LoadPart(m + whole, width - whole), width - whole);
      }
      d = to;
    }
    const float* n = normal + row * width;
    Floats sums = All(0);
    Floats products = All(0);
    for (int64_t i = 0; i < whole; i += kLanes) {
      const Floats dv = Load(d + i);
      const Floats nv = Load(n + i);
      const Floats dn = dv * Load(gamma + i);
      sums += dn;
      products += dn * nv;
      Store(dgamma + i, Load(dgamma + i) + dv * nv);
      Store(dbeta + i, Load(dbeta + i) + dv);
    }
    float sum = Sum(sums);
    float product = Sum(products);
    for (int64_t i = whole; i < width; i++) {
      const float dn = d[i] * gamma[i];
      sum += dn;
      product += dn * n[i];
      dgamma[i] += d[i] * n[i];
      dbeta[i] += d[i];
    }
    const float mean = sum * share;
    const float projection = product * share;
    for (int64_t i = 0; i < whole; i += kLanes) {
      const Floats v = Load(d + i) * Load(gamma + i) - All(mean) - Load(n + i) * All(projection);
      Store(to + i, v * All(inverse[row]));
    }
    for (int64_t i = whole; i < width; i++) to[i] = (d[i] * gamma[i] - mean - n[i] * projection) * inverse[row];
  }
}

/** `sums` [width] gets the sums over these rows. */
template <typename T>
static void BiasGrad(const T* dy, float* sums, int64_t width, int64_t begin, int64_t end) {
  const int64_t whole = width - width % kLanes;
  const int64_t rest = width - whole;
  std::memset(sums, 0, static_cast<size_t>(width) * sizeof(float));
  for (int64_t row = begin; row < end; row++) {
    const T* d = dy + row * width;
    for (int64_t i = 0; i < whole; i += kLanes) Store(sums + i, Load(sums + i) + Load(d + i));
    if (rest) StorePart(sums + whole, LoadPart(sums + whole, rest) + LoadPart(d + whole, rest), rest);
  }
}

/** Both halves of a * m, lane by lane. */
T4_INLINE void Multiply(const Words& a, uint32_t m, Words* high, Words* low) {
#if defined(T4_AVX512)
  __m512i x;
  std::memcpy(&x, &a, sizeof x);
  const __m512i factor = _mm512_set1_epi32(static_cast<int>(m));
  const __m512i even = _mm512_mul_epu32(x, factor);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), factor);
  const __m512i h = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
  const __m512i l = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
  std::memcpy(high, &h, sizeof h);
  std::memcpy(low, &l, sizeof l);
#elif defined(T4_AVX2)
  __m256i x[2];
  __m256i h[2];
  __m256i l[2];
  std::memcpy(x, &a, sizeof x);
  const __m256i factor = _mm256_set1_epi32(static_cast<int>(m));
  for (int i = 0; i < 2; i++) {
    const __m256i even = _mm256_mul_epu32(x[i], factor);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(x[i], 32), factor);
    h[i] = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
    l[i] = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
  }
  std::memcpy(high, h, sizeof h);
  std::memcpy(low, l, sizeof l);
#else
  for (int i = 0; i < kLanes; i++) {
    const uint64_t product = static_cast<uint64_t>(a[i]) * m;
    (*high)[i] = static_cast<uint32_t>(product >> 32);
    (*low)[i] = static_cast<uint32_t>(product);
  }
#endif
}

/** Numbers 4 * group to 4 * group + 63 of a stream: r[j][lane] is number 4 * (group + lane) + j. */
T4_INLINE void Philox(const PhiloxStream& stream, uint64_t group, Words r[4]) {
  const Words lane = Words{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Words zero = lane ^ lane;
  const uint32_t low = static_cast<uint32_t>(group);
  Words c0 = lane + low;
  Words c1 = zero + static_cast<uint32_t>(group >> 32);
  const Words carried = reinterpret_cast<Words>(c0 < lane);  // all bits set, which is -1, where the sum went over
  c1 -= carried;
  Words c2 = zero + stream.counter[2];
  Words c3 = zero + stream.counter[3];
  uint32_t k0 = stream.key[0];
  uint32_t k1 = stream.key[1];
  for (int round = 0; round < 10; round++) {
    Words h0, l0, h1, l1;
    Multiply(c0, kPhiloxA, &h0, &l0);
    Multiply(c2, kPhiloxB, &h1, &l1);
    c0 = h1 ^ c1 ^ k0;
    c1 = l1;
    c2 = h0 ^ c3 ^ k1;
    c3 = l0;
    k0 += kWeylA;
    k1 += kWeylB;
  }
  r[0] = c0;
  r[1] = c1;
  r[2] = c2;
  r[3] = c3;
}

/** For 64 numbers from `first` on, a multiple of 64: whether their upper and their lower halves decide to keep. */
T4_INLINE void Decide(const PhiloxStream& stream, int64_t first, int32_t threshold, uint8_t upper[64],
                      uint8_t lower[64]) {
  Words r[4];
  Philox(stream, static_cast<uint64_t>(first) / 4, r);
  const Words zero = r[0] ^ r[0];
  Words up = zero;
  Words low = zero;
  for (int j = 0; j < 4; j++) {
    const Ints number = reinterpret_cast<Ints>(r[j]);
    const Words keepUp = reinterpret_cast<Words>(number >= (threshold - 0x8000) * 0x10000);
    const Words keepLow = reinterpret_cast<Words>(reinterpret_cast<Ints>(r[j] & 0xffff) >= threshold);
    up |= (keepUp & 1) << (8 * j);
    low |= (keepLow & 1) << (8 * j);
  }
  std::memcpy(upper, &up, 64);
  std::memcpy(lower, &low, 64);
}

/** y = x * scale where kept, else 0. */
template <typename In, typename Out>
T4_INLINE void Mask(const In* x, const uint8_t* kept, float scale, Out* y, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Bytes bytes;
    std::memcpy(&bytes, kept + i, sizeof bytes);
    Store(y + i, Load(x + i) * (ToFloats(bytes) * All(scale)));
  }
  if (i == count) return;
  Bytes bytes = {};
  std::memcpy(&bytes, kept + i, static_cast<size_t>(count - i));
  StorePart(y + i, LoadPart(x + i, count - i) * (ToFloats(bytes) * All(scale)), count - i);
}

/**
 * Numbers `begin` (a multiple of 64) to `end` of the stream. Number i decides on two elements: of each piece of 2 * half
 * elements the upper halves of `half` numbers decide on the first half, the lower ones on the second. With half 0
 * number i decides on element i.
 */
template <typename T>
static void Dropout(const PhiloxStream& stream, int32_t threshold, int64_t half, const T* x, T* y, uint8_t* kept,
                    int64_t begin, int64_t end) {
  const float scale = 65536.0f / static_cast<float>(65536 - threshold);
  uint8_t upper[64];
  uint8_t lower[64];
  for (int64_t first = begin; first < end; first += 64) {
    Decide(stream, first, threshold, upper, lower);
    const int64_t last = first + 64 < end ? first + 64 : end;
    for (int64_t i = first; i < last;) {
      const int64_t column = half == 0 ? 0 : i % half;
      const int64_t count = half == 0 || last - i < half - column ? last - i : half - column;
      const int64_t element = half == 0 ? i : i / half * 2 * half + column;
      std::memcpy(kept + element, upper + (i - first), static_cast<size_t>(count));
      Mask(x + element, kept + element, scale, y + element, count);
      if (half != 0) {
        std::memcpy(kept + element + half, lower + (i - first), static_cast<size_t>(count));
        Mask(x + element + half, kept + element + half, scale, y + element + half, count);
      }
      i += count;
    }
  }
}

template <typename In, typename Out>
static void DropoutGrad(int32_t threshold, const In* dy, const uint8_t* kept, Out* dx, int64_t begin, int64_t end) {
  Mask(dy + begin, kept + begin, 65536.0f / static_cast<float>(65536 - threshold), dx + begin, end - begin);
}

T4_INLINE Floats Sqrt(const Floats& x) {
  Floats y;
#if defined(T4_AVX512)
  __m512 v;
  std::memcpy(&v, &x, sizeof v);
  v = _mm512_sqrt_ps(v);
  std::memcpy(&y, &v, sizeof y);
#elif defined(T4_AVX2)
  __m256 v[2];
  std::memcpy(v, &x, sizeof v);
  v[0] = _mm256_sqrt_ps(v[0]);
  v[1] = _mm256_sqrt_ps(v[1]);
  std::memcpy(&y, v, sizeof y);
#else
  for (int i = 0; i < kLanes; i++) y[i] = std::sqrt(x[i]);
#endif
  return y;
}

T4_INLINE void AdamWLanes(const AdamWConstants& c, const Floats& gradient, Floats* w, Floats* m, Floats* v) {
  const Floats g = gradient * All(c.gradientFactor);
  *m += (g - *m) * All(c.share1);
  *v += (g * g - *v) * All(c.share2);
  *w = *w * All(c.decayFactor) - *m * All(c.stepSize) / (Sqrt(*v) + All(c.epsilon));
}

/** Each output may be its input. */
template <typename T>
static void AdamW(const AdamWConstants& c, const float* const state[3], const T* gradient, float* const next[3],
                  int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    Floats w = Load(state[0] + i);
    Floats m = Load(state[1] + i);
    Floats v = Load(state[2] + i);
    AdamWLanes(c, Load(gradient + i), &w, &m, &v);
    Store(next[0] + i, w);
    Store(next[1] + i, m);
    Store(next[2] + i, v);
  }
  if (i == end) return;
  const int64_t rest = end - i;
  Floats w = LoadPart(state[0] + i, rest);
  Floats m = LoadPart(state[1] + i, rest);
  Floats v = LoadPart(state[2] + i, rest);
  AdamWLanes(c, LoadPart(gradient + i, rest), &w, &m, &v);
  StorePart(next[0] + i, w, rest);
  StorePart(next[1] + i, m, rest);
  StorePart(next[2] + i, v, rest);
}

/** The sum of the rows of `width` of a token and of those that follow it, in their order. */
T4_INLINE void SumOfTokens(const float* gradients, int32_t token, const int32_t* next, int64_t width, float* sum) {
  const int64_t whole = width - width % kLanes;
  std::memset(sum, 0, static_cast<size_t>(width) * sizeof(float));
  for (; token >= 0; token = next[token]) {
    const float* row = gradients + token * width;
    for (int64_t i = 0; i < whole; i += kLanes) Store(sum + i, Load(sum + i) + Load(row + i));
    for (int64_t i = whole; i < width; i++) sum[i] += row[i];
  }
}

/** Whether all bits are 0. */
static bool IsZero(const float* x, int64_t size) {
  Words any = {};
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) any |= reinterpret_cast<Words>(Load(x + i));
  if (i < size) any |= reinterpret_cast<Words>(LoadPart(x + i, size - i));
  const Words none = {};
  return std::memcmp(&any, &none, sizeof any) == 0;
}

/** `y` may be `x`. */
static void Scale(const float* x, float factor, float* y, int64_t size) {
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) Store(y + i, Load(x + i) * All(factor));
  for (; i < size; i++) y[i] = x[i] * factor;
}

/**
 * AdamW of rows `begin` to `end` of a table; `gradients` has a row for each token. Each output may be its input.
 *
 * The step is bound by the memory. A row that no token has named yet has moments of 0, which stay so: they are read but not
 * written, and the weight is decayed, where it is.
 */
static void AdamWRows(const AdamWConstants& c, const float* const state[3], const float* gradients,
                      const TokensOfRows& tokens, float* const next[3], int64_t width, int64_t begin, int64_t end) {
  std::vector<float> scratch(static_cast<size_t>(2 * width));
  float* sum = scratch.data();
  const float* zeros = sum + width;
  const bool inPlace = next[0] == state[0] && next[1] == state[1] && next[2] == state[2];
  // Not where a factor makes a NaN of 0.
  const bool zeroStays = inPlace && 0 * c.gradientFactor + 0 * c.stepSize / c.epsilon == 0;
  for (int64_t row = begin; row < end; row++) {
    const int64_t at = row * width;
    const float* from[3] = {state[0] + at, state[1] + at, state[2] + at};
    float* const to[3] = {next[0] + at, next[1] + at, next[2] + at};
    if (tokens.first[row] >= 0) {
      SumOfTokens(gradients, tokens.first[row], tokens.next, width, sum);
      AdamW(c, from, sum, to, 0, width);
    } else if (!zeroStays || !IsZero(from[1], width) || !IsZero(from[2], width)) {
      AdamW(c, from, zeros, to, 0, width);
    } else if (c.decayFactor != 1) {
      Scale(from[0], c.decayFactor, to[0], width);
    }
  }
}

/** The sum of squares of a table's gradient, over the rows whose first token is one of `begin` to `end`. */
static float SquaresOfRows(const float* gradients, const int32_t* ids, const TokensOfRows& tokens, int64_t width,
                           int64_t begin, int64_t end) {
  const int64_t whole = width - width % kLanes;
  std::vector<float> scratch(static_cast<size_t>(width));
  float* sum = scratch.data();
  Floats squares = All(0);
  float rest = 0;
  for (int64_t token = begin; token < end; token++) {
    if (ids[token] < 0 || tokens.first[ids[token]] != token) continue;
    SumOfTokens(gradients, static_cast<int32_t>(token), tokens.next, width, sum);
    for (int64_t i = 0; i < whole; i += kLanes) squares += Load(sum + i) * Load(sum + i);
    for (int64_t i = whole; i < width; i++) rest += sum[i] * sum[i];
  }
  return Sum(squares) + rest;
}

/** `next` may be `average`. */
static void MoveAverage(const float* average, const float* value, float share, float* next, int64_t begin,
                        int64_t end) {
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    const Floats a = Load(average + i);
    Store(next + i, a + All(share) * (Load(value + i) - a));
  }
  for (; i < end; i++) next[i] = average[i] + share * (value[i] - average[i]);
}

template <typename T>
static float SquaresOf(const T* x, int64_t begin, int64_t end) {
  Floats squares = All(0);
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) squares += Load(x + i) * Load(x + i);
  if (i < end) squares += LoadPart(x + i, end - i) * LoadPart(x + i, end - i);
  return Sum(squares);
}

/** `count` elements, of one type or from one to the other. */
template <typename In, typename Out>
static void Copy(const In* from, Out* to, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) Store(to + i, Load(from + i));
  if (i < count) StorePart(to + i, LoadPart(from + i, count - i), count - i);
}

#include "panels.h"

#include "attention.h"
#include "product.h"

template <typename T>
static constexpr KernelsOf<T> TypedKernels() {
  return {Gelu<T>,    GeluGrad<T>, LayerNorm<T>,
          BiasGrad<T>, Dropout<T>, DropoutGrad<T, float>, DropoutGrad<T, Bfloat16>,
          Attention<T>, AttentionGrad<T>, LayerNormGrad<T>, AdamW<T>, SquaresOf<T>, Copy<float, T>, Copy<T, float>,
          PackLeft<T>, ProductOf<T>()};
}

static const Kernels kernels = {TypedKernels<float>(), TypedKernels<Bfloat16>(), AdamWRows, SquaresOfRows, MoveAverage,
                                DrawKept};

#undef T4_INLINE

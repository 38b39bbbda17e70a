// A vector of floats as wide as the instruction set has them, and the few operations that the kernels need.
//
// GCC's and Clang's vector types do the arithmetic, so one source serves AVX-512, AVX2, NEON and any other processor.
// This file is included once for each instruction set, inside a namespace of that name.

#if VD_AVX512
constexpr int LANES = 16, WIDE = 2, TALL = 14;  // a register block: TALL rows by WIDE vectors, 28 of 32 registers
#elif VD_AVX2
constexpr int LANES = 8, WIDE = 2, TALL = 6;  // 12 of 16 registers
#elif VD_NEON
constexpr int LANES = 4, WIDE = 4, TALL = 6;  // 24 of 32 registers
#else
constexpr int LANES = 4, WIDE = 2, TALL = 4;
#endif
constexpr int PANEL = LANES * WIDE;  // output channels that are computed together

typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef int32_t integers __attribute__((vector_size(4 * LANES)));
typedef float loose_lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t loose_words __attribute__((vector_size(4 * LANES), aligned(2), may_alias));
typedef int32_t loose_integers __attribute__((vector_size(4 * LANES), aligned(2), may_alias));

inline lanes load(const float *from) { return *reinterpret_cast<const loose_lanes *>(from); }
inline void store(float *to, lanes value) { *reinterpret_cast<loose_lanes *>(to) = value; }
inline integers load_integers(const void *from) { return *static_cast<const loose_integers *>(from); }
inline void store_integers(void *to, integers value) { *static_cast<loose_integers *>(to) = value; }
inline words load_words(const void *from) { return *static_cast<const loose_words *>(from); }

#if VD_AVX2
// Ones in the first `count` lanes.
inline __m256i mask_of(int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#endif

// The first `count` < LANES floats; the other lanes are 0.
inline lanes load_some(const float *from, int64_t count) {
#if VD_AVX512
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
#elif VD_AVX2
  return _mm256_maskload_ps(from, mask_of(count));
#else
  lanes value = {};
  for (int64_t i = 0; i < count; i++) value[i] = from[i];
  return value;
#endif
}

inline void store_some(float *to, lanes value, int64_t count) {
#if VD_AVX512
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), value);
#elif VD_AVX2
  _mm256_maskstore_ps(to, mask_of(count), value);
#else
  for (int64_t i = 0; i < count; i++) to[i] = value[i];
#endif
}

inline lanes load_up_to(const float *from, int64_t count) { return count >= LANES ? load(from) : load_some(from, count); }
inline void store_up_to(float *to, lanes value, int64_t count) {
  if (count >= LANES) store(to, value);
  else store_some(to, value, count);
}

inline lanes all(float value) { return value - lanes{}; }

// A NaN in `value` stays one, as in PyTorch.
inline lanes at_least_zero(lanes value) { return value < 0.0f ? lanes{} : value; }
// The larger; NaN if either is.
inline lanes larger(lanes a, lanes b) { return (a > b) | (a != a) ? a : b; }

inline lanes magnitude(lanes value) { return value < 0.0f ? -value : value; }

inline float sum(lanes value) {
  // Halves are added to halves: fixed, so that every caller rounds alike.
  float part[LANES];
  std::memcpy(part, &value, sizeof part);
  for (int half = LANES / 2; half; half /= 2)
    for (int i = 0; i < half; i++) part[i] += part[i + half];
  return part[0];
}

// Two bfloat16 vectors lie in one vector of words: the first in the low halves, the second in the high ones.
inline lanes low_half(words pair) { return reinterpret_cast<lanes>(pair << 16); }
inline lanes high_half(words pair) { return reinterpret_cast<lanes>(pair & 0xffff0000u); }

inline lanes to_lanes(integers value) { return __builtin_convertvector(value, lanes); }

// The nearest integers, ties to even; magnitudes below 2^22.
inline integers nearest(lanes value) {
#if VD_AVX512
  return reinterpret_cast<integers>(_mm512_cvtps_epi32(value));
#elif VD_AVX2
  return reinterpret_cast<integers>(_mm256_cvtps_epi32(value));
#else
  const lanes shifter = all(12582912.0f);  // 1.5 * 2^23: its last bit is 1
  return reinterpret_cast<integers>(value + shifter) - reinterpret_cast<integers>(shifter);
#endif
}

// Each lane holds two 16-bit integers: sums + a.low * b.low + a.high * b.high.
inline integers add_products_of_pairs(integers sums, integers a, integers b) {
#if VD_VNNI
  return reinterpret_cast<integers>(_mm512_dpwssd_epi32(reinterpret_cast<__m512i>(sums), reinterpret_cast<__m512i>(a),
                                                        reinterpret_cast<__m512i>(b)));
#elif VD_AVX512
  return sums + reinterpret_cast<integers>(
                    _mm512_madd_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif VD_AVX2
  return sums + reinterpret_cast<integers>(
                    _mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
  return sums + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
#endif
}

// Each lane holds four bytes, those of `a` without a sign: sums + the four products.
#if VD_VNNI
inline integers add_products_of_fours(integers sums, integers a, integers b) {
  return reinterpret_cast<integers>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sums), reinterpret_cast<__m512i>(a),
                                                        reinterpret_cast<__m512i>(b)));
}
#endif

// The nearest integers, which must fit the type, in order.
inline void store_nearest(int16_t *to, lanes value) {
  typedef int16_t loose_shorts __attribute__((vector_size(2 * LANES), aligned(2), may_alias));
  *reinterpret_cast<loose_shorts *>(to) = __builtin_convertvector(nearest(value), loose_shorts);
}
inline void store_nearest(uint8_t *to, lanes value) {
  typedef uint8_t loose_bytes __attribute__((vector_size(LANES), aligned(1), may_alias));
  *reinterpret_cast<loose_bytes *>(to) = __builtin_convertvector(nearest(value), loose_bytes);
}

inline float from_bfloat16(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

inline uint16_t rounded_to_bfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (value != value) return static_cast<uint16_t>((bits >> 16) | 0x40);  // stays a NaN
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float largest(lanes value) {
  float part[LANES];
  std::memcpy(part, &value, sizeof part);
  float most = part[0];
  for (int i = 1; i < LANES; i++) most = part[i] > most ? part[i] : most;
  return most;
}

inline bool any_nan(lanes value) {
#if VD_AVX512
  return _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q) != 0;
#elif VD_AVX2
  return _mm256_movemask_ps(_mm256_cmp_ps(value, value, _CMP_UNORD_Q)) != 0;
#else
  for (int i = 0; i < LANES; i++)
    if (value[i] != value[i]) return true;
  return false;
#endif
}

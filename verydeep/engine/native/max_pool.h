// Max-pools of 2x2 windows side by side, in training: what is kept for the way back is one byte for each output, the place of the
// largest input in its window (0, 1 above, 2, 3 below), or NOWHERE where a ReLU behind the pool lets no gradient through.

constexpr int NOWHERE = 4;

// LANES numbers of a type as they are stored, without a look at what they mean.
template <class Bits> struct Raw {
  typedef Bits vector __attribute__((vector_size(sizeof(Bits) * LANES)));
  typedef Bits loose __attribute__((vector_size(sizeof(Bits) * LANES), aligned(1), may_alias));

  static vector load(const Bits *from) { return *reinterpret_cast<const loose *>(from); }
  static void store(Bits *to, vector value) { *reinterpret_cast<loose *>(to) = value; }
  static vector load_up_to(const Bits *from, int64_t count) {
    if (count >= LANES) return load(from);
#if VD_AVX512
    const __mmask16 mask = static_cast<__mmask16>((1u << count) - 1);
    if constexpr (sizeof(Bits) == 4) return reinterpret_cast<vector>(_mm512_maskz_loadu_epi32(mask, from));
    else if constexpr (sizeof(Bits) == 2) return reinterpret_cast<vector>(_mm256_maskz_loadu_epi16(mask, from));
    else return reinterpret_cast<vector>(_mm_maskz_loadu_epi8(mask, from));
#else
    vector value = {};
    for (int64_t i = 0; i < count; i++) value[i] = from[i];
    return value;
#endif
  }
  static void store_up_to(Bits *to, vector value, int64_t count) {
    if (count >= LANES) return store(to, value);
#if VD_AVX512
    const __mmask16 mask = static_cast<__mmask16>((1u << count) - 1);
    if constexpr (sizeof(Bits) == 4) _mm512_mask_storeu_epi32(to, mask, reinterpret_cast<__m512i>(value));
    else if constexpr (sizeof(Bits) == 2) _mm256_mask_storeu_epi16(to, mask, reinterpret_cast<__m256i>(value));
    else _mm_mask_storeu_epi8(to, mask, reinterpret_cast<__m128i>(value));
#else
    for (int64_t i = 0; i < count; i++) to[i] = value[i];
#endif
  }
};
typedef Raw<uint8_t> Bytes;

inline lanes as_floats(Raw<uint32_t>::vector value) { return reinterpret_cast<lanes>(value); }
inline lanes as_floats(Raw<uint16_t>::vector value) { return reinterpret_cast<lanes>(__builtin_convertvector(value, words) << 16); }
template <class Bits> inline typename Raw<Bits>::vector as_stored(lanes value) {
  if constexpr (sizeof(Bits) == 4) return reinterpret_cast<words>(value);
  else return __builtin_convertvector(reinterpret_cast<words>(value) >> 16, typename Raw<Bits>::vector);
}

// body(image, row of y) in pieces of neighbouring rows, at least about 4096 numbers of x each.
template <class Body> inline void for_rows_of_windows(const int64_t shape[4], int32_t threads, const Body &body) {
  const int64_t down = shape[1] / 2, rows = shape[0] * down, least = std::max<int64_t>(1, 4096 / (2 * shape[2] * shape[3]));
  const int64_t pieces = std::min<int64_t>(8 * threads, (rows + least - 1) / least);
  share(threads, pieces, [&](int64_t piece, int) {
    for (int64_t row = rows * piece / pieces; row < rows * (piece + 1) / pieces; row++) body(row / down, row % down);
  });
}

template <class Bits>
inline void max_pool2x2(const Bits *x, const int64_t shape[4], Bits *y, uint8_t *indices, bool relu, int32_t threads) {
  const int64_t w = shape[2], c = shape[3], across = w / 2;
  for_rows_of_windows(shape, threads, [&](int64_t image, int64_t row) {
    for (int64_t column = 0; column < across; column++) {
      const Bits *corner = x + ((image * shape[1] + 2 * row) * w + 2 * column) * c;
      const int64_t pixel = (image * (shape[1] / 2) + row) * across + column;
      for_channels(c, [&](int64_t channel, int64_t channels) {
        const auto at = [&](int place) {
          return as_floats(Raw<Bits>::load_up_to(corner + (place / 2 * w + place % 2) * c + channel, channels));
        };
        lanes most = at(0);
        integers best = {};
#pragma GCC unroll 4
        for (int place = 1; place < 4; place++) {
          const lanes value = at(place);
          const integers better = (value > most) | (value != value);
          most = better ? value : most;
          best = better ? integers{} + place : best;
        }
        if (relu) {
          best = most <= 0.0f ? integers{} + NOWHERE : best;
          most = at_least_zero(most);
        }
        Raw<Bits>::store_up_to(y + pixel * c + channel, as_stored<Bits>(most), channels);
        Bytes::store_up_to(indices + pixel * c + channel, __builtin_convertvector(best, Bytes::vector), channels);
      });
    }
  });
}

template <class Bits>
inline void max_pool2x2_gradient(const Bits *y, const uint8_t *indices, const int64_t shape[4], Bits *x, int32_t threads) {
  const int64_t h = shape[1], w = shape[2], c = shape[3], down = h / 2, across = w / 2;
  typedef typename Raw<Bits>::vector vector;
  for_rows_of_windows(shape, threads, [&](int64_t image, int64_t row) {
    Bits *const line = x + (image * h + 2 * row) * w * c;
    for (int64_t column = 0; column < across; column++) {
      const int64_t pixel = (image * down + row) * across + column;
      for_channels(c, [&](int64_t channel, int64_t channels) {
        const vector gradient = Raw<Bits>::load_up_to(y + pixel * c + channel, channels);
        const vector best = __builtin_convertvector(Bytes::load_up_to(indices + pixel * c + channel, channels), vector);
#pragma GCC unroll 4
        for (int place = 0; place < 4; place++) {
          const vector mine = best == static_cast<Bits>(place) ? gradient : vector{};
          Raw<Bits>::store_up_to(line + (place / 2 * w + 2 * column + place % 2) * c + channel, mine, channels);
        }
      });
    }
    const auto clear = [&](Bits *from, int64_t count) { std::memset(from, 0, static_cast<size_t>(count) * sizeof(Bits)); };
    if (w % 2)
      for (int64_t below = 0; below < 2; below++) clear(line + (below * w + w - 1) * c, c);
    if (h % 2 && row == down - 1) clear(line + 2 * w * c, w * c);
  });
}

// Calls body with a number of as many bits as the type has.
template <class Body> inline int with_type_of_map(const int64_t shape[4], int32_t type, int32_t threads, const Body &body) {
  if (shape[0] < 0 || shape[1] < 2 || shape[2] < 2 || shape[3] < 1 || threads < 1) return VD_BAD_SHAPE;
  if (type == VD_FLOAT32) body(uint32_t{});
  else if (type == VD_BFLOAT16) body(uint16_t{});
  else return VD_UNSUPPORTED;
  return VD_OK;
}

// Fully connected layers: one image costs the reading of the weights and nothing else, so each row is read once, in order.

constexpr int64_t STRETCH = 2048;  // inputs whose products are summed in a register before they join the result
constexpr int TOGETHER_ROWS = 4, TOGETHER_IMAGES = 4;  // rows of weights and images in one register block

inline lanes weights_at(const float *from) { return load(from); }
inline lanes weights_at(const uint16_t *from) {
#if VD_AVX512
  return reinterpret_cast<lanes>(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from))), 16));
#elif VD_AVX2
  return reinterpret_cast<lanes>(
      _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from))), 16));
#else
  words wide;
  for (int i = 0; i < LANES; i++) wide[i] = static_cast<uint32_t>(from[i]) << 16;
  return reinterpret_cast<lanes>(wide);
#endif
}
inline lanes weights_at(const int8_t *from) {
#if VD_AVX512
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from))));
#elif VD_AVX2
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(from))));
#else
  lanes wide;
  for (int i = 0; i < LANES; i++) wide[i] = from[i];
  return wide;
#endif
}
inline float weight_at(const int8_t *from) { return *from; }
inline float weight_at(const float *from) { return *from; }
inline float weight_at(const uint16_t *from) { return from_bfloat16(*from); }

// y[image][row] += the product of a stretch of inputs times the row's unit, for ROWS rows and IMAGES images.
template <class Rows, int ROWS, int IMAGES>
inline void stretch(const float *x, int64_t x_step, Rows w, int64_t w_step, const float *units, int64_t length,
                    float *y, int64_t y_step) {
  lanes block[ROWS][IMAGES] = {};
  int64_t i = 0;
  for (; i + LANES <= length; i += LANES) {
    lanes images[IMAGES];
#pragma GCC unroll 4
    for (int n = 0; n < IMAGES; n++) images[n] = load(x + n * x_step + i);
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; r++) {
      const lanes row = weights_at(w + (r * w_step + i));
#pragma GCC unroll 4
      for (int n = 0; n < IMAGES; n++) block[r][n] += row * images[n];
    }
  }
  for (int r = 0; r < ROWS; r++)
    for (int n = 0; n < IMAGES; n++) {
      float total = sum(block[r][n]);
      for (int64_t rest = i; rest < length; rest++) total += weight_at(w + (r * w_step + rest)) * x[n * x_step + rest];
      y[n * y_step + r] += units ? total * units[r] : total;
    }
}

template <class Rows, int ROWS>
inline void stretches(const float *x, Rows w, const float *units, float *y, int64_t n, int64_t inputs,
                      int64_t outputs) {
  for (int64_t start = 0; start < inputs; start += STRETCH) {
    const int64_t length = std::min(STRETCH, inputs - start);
    int64_t image = 0;
    for (; image + TOGETHER_IMAGES <= n; image += TOGETHER_IMAGES)
      stretch<Rows, ROWS, TOGETHER_IMAGES>(x + image * inputs + start, inputs, w + start, inputs, units, length,
                                              y + image * outputs, outputs);
    for (; image < n; image++)
      stretch<Rows, ROWS, 1>(x + image * inputs + start, inputs, w + start, inputs, units, length, y + image * outputs,
                                outputs);
  }
}

template <class Rows>
inline int linear(const float *x, Rows w, const float *units, const float *bias, float *y, int64_t n, int64_t inputs,
                  int64_t outputs, int32_t relu, int32_t threads) {
  if (n < 0 || inputs < 1 || outputs < 1) return VD_BAD_SHAPE;
  const int64_t groups = (outputs + TOGETHER_ROWS - 1) / TOGETHER_ROWS;
  const int64_t pieces = std::min<int64_t>(groups, 16 * std::max(threads, 1));  // of neighbouring rows
  share(threads, pieces, [&](int64_t piece, int) {
    for (int64_t g = groups * piece / pieces; g < groups * (piece + 1) / pieces; g++) {
      const int64_t row = g * TOGETHER_ROWS, rows = std::min<int64_t>(TOGETHER_ROWS, outputs - row);
      for (int64_t image = 0; image < n; image++)
        for (int64_t r = row; r < row + rows; r++) y[image * outputs + r] = bias ? bias[r] : 0.0f;
      if (rows == TOGETHER_ROWS) stretches<Rows, TOGETHER_ROWS>(x, w + row * inputs, units ? units + row : nullptr, y + row, n, inputs, outputs);
      else
        for (int64_t r = row; r < row + rows; r++)
          stretches<Rows, 1>(x, w + r * inputs, units ? units + r : nullptr, y + r, n, inputs, outputs);
      if (relu)
        for (int64_t image = 0; image < n; image++)
          for (int64_t r = row; r < row + rows; r++) {
            float &value = y[image * outputs + r];
            value = value < 0.0f ? 0.0f : value;
          }
    }
  });
  return VD_OK;
}

// Where the units of int8 rows lie: behind the rows, on the next place for a float.
inline int64_t units_offset(int64_t inputs, int64_t outputs) { return (inputs * outputs + 3) / 4 * 4; }

inline void to_int8(const float *from, int8_t *to, int64_t inputs, int64_t outputs, int32_t threads) {
  float *units = reinterpret_cast<float *>(to + units_offset(inputs, outputs));
  share(threads, outputs, [&](int64_t row, int) {
    const float *weights = from + row * inputs;
    float most = 0;
    bool finite = true;
    for (int64_t i = 0; i < inputs; i++) {
      most = std::max(most, std::fabs(weights[i]));
      finite = finite && weights[i] - weights[i] == 0;
    }
    units[row] = finite ? most / 127 : NAN;  // no integer says infinity or NaN: the unit does
    for (int64_t i = 0; i < inputs; i++)
      to[row * inputs + i] = static_cast<int8_t>(finite && most > 0 ? std::lrintf(weights[i] / most * 127) : 0);
  });
}

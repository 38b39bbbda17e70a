// What is not a product: pools, sums, normalisation over channels, activations, changes of layout. Bound by memory.

// Coefficients fitted to 2^x on [0, 1] and to (tanh(x) / x - 1) / x^2 for x^2 < 0.5, at Chebyshev's points.
constexpr float EXP2[7] = {1.0f, 0.693146929f, 0.240230502f, 0.0554804263f, 0.00968458045f, 0.00123878215f, 0.000218775048f};
constexpr float TANH[6] = {-0.333333327f, 0.13333245f, -0.0539471343f, 0.0216823933f, -0.00809466642f, 0.00204326044f};

inline bool is_map(const vd_map &map) { return map.n >= 0 && map.h >= 1 && map.w >= 1 && map.c >= 1 && map.pixel >= map.c; }

inline bool alike(const vd_map &a, const vd_map &b) {
  return is_map(a) && is_map(b) && a.n == b.n && a.h == b.h && a.w == b.w && a.c == b.c;
}

inline int64_t pixels_of(const vd_map &map) { return map.n * map.h * map.w; }

// body(pixel) in pieces of neighbouring pixels, at least about 4096 numbers each.
template <class Body> inline void for_pixels(const vd_map &map, int32_t threads, const Body &body) {
  const int64_t pixels = pixels_of(map), least = std::max<int64_t>(1, 4096 / std::max<int64_t>(1, map.c));
  const int64_t pieces = std::min<int64_t>(8 * std::max(threads, 1), (pixels + least - 1) / least);
  share(threads, pieces, [&](int64_t piece, int) {
    for (int64_t pixel = pixels * piece / pieces; pixel < pixels * (piece + 1) / pieces; pixel++) body(pixel);
  });
}

// body(channel, channels) for vectors of channels.
template <class Body> inline void for_channels(int64_t c, const Body &body) {
  for (int64_t channel = 0; channel < c; channel += LANES) body(channel, std::min<int64_t>(LANES, c - channel));
}

inline int pool(const vd_map &x, const vd_map &y, int32_t pooling, const int64_t kernel[2], const int64_t stride[2],
                const int64_t padding[2], int32_t threads) {
  if (!is_map(x) || !is_map(y) || x.n != y.n || x.c != y.c) return VD_BAD_SHAPE;
  const int64_t sizes[2] = {x.h, x.w}, windows[2] = {y.h, y.w};
  for (int axis = 0; axis < 2; axis++) {  // the first and the last window hold something of the map
    if (kernel[axis] < 1 || stride[axis] < 1 || padding[axis] < 0 || padding[axis] >= kernel[axis]) return VD_BAD_SHAPE;
    if ((windows[axis] - 1) * stride[axis] - padding[axis] >= sizes[axis]) return VD_BAD_SHAPE;
  }
  if (pooling != VD_MAX && pooling != VD_MEAN) return VD_UNSUPPORTED;
  for_pixels(y, threads, [&](int64_t pixel) {
    const int64_t image = pixel / (y.h * y.w), row = pixel / y.w % y.h, column = pixel % y.w;
    const int64_t top = row * stride[0] - padding[0], left = column * stride[1] - padding[1];
    const int64_t first_row = std::max<int64_t>(top, 0), last_row = std::min(top + kernel[0], x.h);
    const int64_t first_column = std::max<int64_t>(left, 0), last_column = std::min(left + kernel[1], x.w);
    const float count = static_cast<float>((last_row - first_row) * (last_column - first_column));
    const float *window = x.data + image * x.h * x.w * x.pixel;
    for_channels(y.c, [&](int64_t c, int64_t channels) {
      lanes result = pooling == VD_MAX ? all(-INFINITY) : lanes{};
      for (int64_t i = first_row; i < last_row; i++)
        for (int64_t j = first_column; j < last_column; j++) {
          const lanes value = load_up_to(window + (i * x.w + j) * x.pixel + c, channels);
          result = pooling == VD_MAX ? larger(result, value) : result + value;
        }
      if (pooling == VD_MEAN) result /= all(count);
      store_up_to(y.data + pixel * y.pixel + c, result, channels);
    });
  });
  return VD_OK;
}

// y = f(x, first channel, channels), vector by vector.
template <class Function> inline int map_channels(const vd_map &x, const vd_map &y, int32_t threads, const Function &function) {
  if (!alike(x, y)) return VD_BAD_SHAPE;
  for_pixels(x, threads, [&](int64_t pixel) {
    for_channels(x.c, [&](int64_t c, int64_t channels) {
      const lanes value = load_up_to(x.data + pixel * x.pixel + c, channels);
      store_up_to(y.data + pixel * y.pixel + c, function(value, pixel, c, channels), channels);
    });
  });
  return VD_OK;
}

inline int affine(const vd_map &x, const vd_map &y, const float *scale, const float *shift, int32_t relu, int32_t threads) {
  return map_channels(x, y, threads, [&](lanes value, int64_t, int64_t c, int64_t channels) {
    if (scale) value *= load_up_to(scale + c, channels);
    if (shift) value += load_up_to(shift + c, channels);
    return relu ? at_least_zero(value) : value;
  });
}

inline int add(const vd_map &a, const vd_map &b, const vd_map &y, int32_t relu, int32_t threads) {
  if (!alike(a, b)) return VD_BAD_SHAPE;
  return map_channels(a, y, threads, [&](lanes value, int64_t pixel, int64_t c, int64_t channels) {
    value += load_up_to(b.data + pixel * b.pixel + c, channels);
    return relu ? at_least_zero(value) : value;
  });
}

// Two to a power in [0, 64), by a polynomial for the part below 1 (relative error 3e-9 before rounding) and its exponent's bits.
inline lanes power_of_two(lanes exponent) {
  const integers whole = __builtin_convertvector(exponent, integers);  // towards zero
  const lanes part = exponent - to_lanes(whole);
  lanes result = all(EXP2[6]);
  for (int i = 5; i >= 0; i--) result = result * part + EXP2[i];
  return result * reinterpret_cast<lanes>((whole + 127) << 23);
}

// x + x^3 P(x^2) near zero, where 1 - 2 / (e^2x + 1) would lose digits.
inline lanes tangent(lanes x) {
  const lanes square = x * x;
  lanes near = all(TANH[5]);
  for (int i = 4; i >= 0; i--) near = near * square + TANH[i];
  near = x + x * square * near;
  const lanes size = magnitude(x);
  const lanes bounded = size < 10.0f ? size : all(10.0f);  // 1 from there on, in float32
  const lanes far = 1.0f - 2.0f / (power_of_two(bounded * 2.88539008f) + 1.0f);  // 2 / ln 2
  const lanes result = square < 0.5f ? near : x < 0.0f ? -far : far;
  return x != x ? x : result;
}

inline int hyperbolic_tangent(const vd_map &x, const vd_map &y, int32_t threads) {
  return map_channels(x, y, threads, [&](lanes value, int64_t, int64_t, int64_t) { return tangent(value); });
}

inline int lrn(const vd_map &x, const vd_map &y, int64_t size, float alpha, float beta, float k, int32_t threads) {
  if (!alike(x, y) || size < 1 || size % 2 == 0) return VD_BAD_SHAPE;
  const int64_t reach = size / 2;
  for_pixels(x, threads, [&](int64_t pixel) {
    const float *from = x.data + pixel * x.pixel;
    for_channels(x.c, [&](int64_t c, int64_t channels) {
      lanes squares = {};
      if (channels == LANES && c >= reach && c + LANES + reach <= x.c) {
        for (int64_t shift = -reach; shift <= reach; shift++) {
          const lanes value = load(from + c + shift);
          squares += value * value;
        }
      } else {
        for (int64_t i = 0; i < channels; i++)
          for (int64_t other = std::max<int64_t>(0, c + i - reach); other <= std::min(x.c - 1, c + i + reach); other++)
            squares[i] += from[other] * from[other];
      }
      const lanes base = all(k) + alpha * squares;
      lanes divisor = base;
      if (beta == 0.75f) {  // the published value: two square roots, where a power costs ten times as much
        for (int i = 0; i < LANES; i++) {
          const float root = std::sqrt(base[i]);
          divisor[i] = root * std::sqrt(root);
        }
      } else {
        for (int i = 0; i < LANES; i++) divisor[i] = std::pow(base[i], beta);
      }
      store_up_to(y.data + pixel * y.pixel + c, load_up_to(from + c, channels) / divisor, channels);
    });
  });
  return VD_OK;
}

// Planes (n, c, h, w) and channels-last pixels; a row of pixels at a time.
inline int from_planes(const float *planes, const vd_map &y, int32_t threads) {
  if (!is_map(y)) return VD_BAD_SHAPE;
  share(threads, y.n * y.h, [&](int64_t index, int) {
    const int64_t image = index / y.h, row = index % y.h;
    for (int64_t c = 0; c < y.c; c++) {
      const float *from = planes + ((image * y.c + c) * y.h + row) * y.w;
      float *to = y.data + index * y.w * y.pixel + c;
      for (int64_t column = 0; column < y.w; column++) to[column * y.pixel] = from[column];
    }
  });
  return VD_OK;
}

inline int to_planes(const vd_map &x, float *planes, int32_t threads) {
  if (!is_map(x)) return VD_BAD_SHAPE;
  share(threads, x.n * x.h, [&](int64_t index, int) {
    const int64_t image = index / x.h, row = index % x.h;
    for (int64_t c = 0; c < x.c; c++) {
      const float *from = x.data + index * x.w * x.pixel + c;
      float *to = planes + ((image * x.c + c) * x.h + row) * x.w;
      for (int64_t column = 0; column < x.w; column++) to[column] = from[column * x.pixel];
    }
  });
  return VD_OK;
}

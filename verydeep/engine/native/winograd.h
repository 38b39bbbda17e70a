// 3x3 and 5x5 convolutions of stride 1 by Winograd's tiles: transform the inputs, one matrix product for each point of the
// transform, transform the outputs back with bias, addition, ReLU and 2x2 pool on the way.
//
// V, the transformed inputs, is [point][tile][channels]; U, the weights, [panel][point][channels][PANEL]; the products are
// [point][tile][PANEL] for one panel of output channels at a time.
//
// Scaled numbers: the integers of a tile, and those of an output channel, share a unit. It is the smallest with which no sum of
// products can overflow: by Cauchy and Schwarz, |sum u v| <= |u| |v|, and both norms are kept below NORM.

constexpr int64_t IN_CACHE = 512 << 10;  // bytes of V that one thread keeps near: half of a second-level cache
constexpr int64_t NEAR = 256 << 10;      // bytes of V of one point that stay near while all its weights pass by
constexpr int64_t TOGETHER = 12 << 20;   // bytes of U from which on it is read once for many tiles, by all threads
constexpr int64_t LARGEST = 48 << 20;    // bytes of V and of the products when threads work together

constexpr float NORM = 45000, MOST = 32767;  // NORM^2 < 2^31, with room for the rounding of a million channels
constexpr float TINY = 1e-30f;                // a tile whose largest number is below it counts as zeros
constexpr float SMALL_SQUARE = 1e-20f, LARGE_SQUARE = 1e37f;  // between them a sum of squares is as exact as its terms

// What does not change while a convolution runs. Sizes of memory are counted in units of four bytes.
template <int M, int R, class Stored> struct Tiling {
  static constexpr int SIDE = M + R - 1, POINTS = SIDE * SIDE;
  int64_t height, width;         // of the output before pooling
  int64_t down, across, count;   // tiles of an image, of the batch
  int64_t channels, steps, row;  // of the input; of depth; a row of V
  int64_t panels;
  int64_t together;              // 0: each thread takes its own tiles through all three steps
  int64_t tiles;                 // that are in V at a time
  int64_t v_plane, product_plane;  // from a point to the next

  explicit Tiling(const vd_conv_args &args) {
    height = args.x.h + args.padding[0] + args.padding[1] - (R - 1);
    width = args.x.w + args.padding[2] + args.padding[3] - (R - 1);
    down = (height + M - 1) / M;
    across = (width + M - 1) / M;
    count = args.x.n * down * across;
    channels = args.x.c;
    steps = (channels + Stored::TAKES - 1) / Stored::TAKES;
    row = (steps + LANES - 1) / LANES * LANES;
    panels = (args.y.c + PANEL - 1) / PANEL;
    const int64_t weights = POINTS * steps * Stored::TAKES * panels * PANEL * int64_t(sizeof(typename Stored::element));
    together = weights > TOGETHER || count < 2 * TALL * std::max(args.threads, 1);
    const int64_t bytes = POINTS * 4 * (together ? row + panels * PANEL : row);
    tiles = std::max<int64_t>(1, (together ? LARGEST : IN_CACHE) / bytes);
    if (!together) tiles = std::max<int64_t>(TALL, tiles / TALL * TALL);
    take(std::min(tiles, count));
  }

  // Have room for as many tiles at a time.
  void take(int64_t most) {
    tiles = most;
    v_plane = off_the_same_sets(tiles * row);
    product_plane = off_the_same_sets(tiles * PANEL);
  }

  // Planes a multiple of 4096 bytes apart would share the few places of the first cache that an address may take.
  static int64_t off_the_same_sets(int64_t floats) { return floats % 512 < 32 ? floats + 48 : floats; }

  int64_t v_size() const { return POINTS * v_plane; }
  int64_t product_size() const { return POINTS * product_plane * (together ? panels : 1); }
  int64_t units_size() const { return Stored::SCALED ? (tiles + LANES - 1) / LANES * LANES : 0; }
  int64_t draft_row() const { return row * Stored::TAKES; }
  int64_t draft_size() const { return Stored::SCALED ? POINTS * draft_row() : 0; }
  int64_t workspace_size(int threads) const {
    const int64_t shared = v_size() + product_size() + units_size();
    return together ? shared + threads * draft_size() : threads * (shared + draft_size());
  }
};

template <int M, int R, class Stored> struct Winograd {
  static constexpr int SIDE = M + R - 1, POINTS = SIDE * SIDE;
  typedef typename Stored::element element;
  typedef typename Stored::Sums Sums;

  const vd_conv_args &args;
  const Tiling<M, R, Stored> tiling;

  explicit Winograd(const vd_conv_args &args) : args(args), tiling(args) {}
  Winograd(const vd_conv_args &args, const Tiling<M, R, Stored> &tiling) : args(args), tiling(tiling) {}

  static int64_t steps(int64_t c) { return (c + Stored::TAKES - 1) / Stored::TAKES; }
  static int64_t plane_elements(int64_t c) { return steps(c) * Stored::TAKES * PANEL; }
  static int64_t panel_elements(int64_t c) { return POINTS * plane_elements(c); }
  static int64_t panels(int64_t k) { return (k + PANEL - 1) / PANEL; }

  // Behind the scaled weights lies the unit of each output channel, a float.
  static int64_t packed_elements(int64_t c, int64_t k) {
    return panels(k) * (panel_elements(c) + (Stored::SCALED ? PANEL * 4 / int64_t(sizeof(element)) : 0));
  }
  static float *units(const void *packed, int64_t c, int64_t k) {
    return reinterpret_cast<float *>(const_cast<element *>(static_cast<const element *>(packed)) + panels(k) * panel_elements(c));
  }

  // Filters (output, channel) lie at weights + output * strides[0] + channel * strides[1], their taps strides[2] and [3] apart.
  static void pack(const float *weights, const int64_t strides[4], int64_t c, int64_t k, int threads, element *packed) {
    share(threads, panels(k) * WIDE, [&](int64_t index, int) {
      const int64_t first = index * LANES, outputs = std::min<int64_t>(LANES, k - first);
      element *panel = packed + index / WIDE * panel_elements(c);
      const int column = static_cast<int>(index % WIDE) * LANES;
      exact_lanes u[SIDE][SIDE];
      const auto transform = [&](int64_t channel) {
        exact_lanes g[R][R] = {};
        for (int64_t lane = 0; lane < outputs && channel < c; lane++) {
          const float *from = weights + (first + lane) * strides[0] + channel * strides[1];
          for (int r = 0; r < R; r++)
            for (int s = 0; s < R; s++) g[r][s][lane] = from[r * strides[2] + s * strides[3]];
        }
        transform_filters<SIDE, R>(g, u);
      };
      exact_lanes unit = exact_lanes{} + 1.0;
      if (Stored::SCALED) {
        exact_lanes squares[SIDE][SIDE] = {}, most = {}, square = {};
        for (int64_t channel = 0; channel < c; channel++) {
          transform(channel);
          for (int point = 0; point < POINTS; point++) {
            const exact_lanes value = u[point / SIDE][point % SIDE];
            squares[point / SIDE][point % SIDE] += value * value;
            const exact_lanes size = value < 0.0 ? -value : value;
            most = (size > most) | (size != size) ? size : most;  // a NaN stays
          }
        }
        for (auto &row : squares)
          for (auto &value : row) square = value > square ? value : square;
        for (int lane = 0; lane < LANES; lane++) {
          const bool finite = most[lane] - most[lane] == 0;
          unit[lane] = finite ? std::max({std::sqrt(square[lane]) / NORM, most[lane] / MOST, 1e-37}) : INFINITY;
          units(packed, c, k)[first + lane] = finite ? static_cast<float>(unit[lane]) : NAN;
        }
      }
      for (int64_t channel = 0; channel < steps(c) * Stored::TAKES; channel++) {
        transform(channel);
        for (int point = 0; point < POINTS; point++) {
          exact_lanes value = u[point / SIDE][point % SIDE];
          if (Stored::SCALED) value /= unit;
          for (int lane = 0; lane < LANES; lane++) {
            const bool counts = !Stored::SCALED || value[lane] == value[lane];  // no integer says NaN: the unit does
            panel[point * plane_elements(c) + Stored::place(channel, column + lane)] =
                Stored::encode(counts ? static_cast<float>(value[lane]) : 0.0f);
          }
        }
      }
    });
  }

  struct Place {
    int64_t image, top, left;  // of a tile's outputs
  };
  Place place(int64_t tile) const {
    const int64_t each = tiling.down * tiling.across, within = tile % each;
    return {tile / each, within / tiling.across * M, within % tiling.across * M};
  }

  // The pixel of the input that lies at (row, column), which may be in the padding: then NULL.
  const float *pixel(int64_t image, int64_t row, int64_t column) const {
    const vd_map &x = args.x;
    if (row < 0 || row >= x.h || column < 0 || column >= x.w) return nullptr;
    return x.data + ((image * x.h + row) * x.w + column) * x.pixel;
  }

  template <bool INSIDE>
  void transform_block(const float *corner, const Place &at, int64_t c, float *v, int64_t plane) const {
    const int64_t row = args.x.w * args.x.pixel, channels = tiling.channels - c;
    lanes half[SIDE][SIDE];
#pragma GCC unroll 8
    for (int j = 0; j < SIDE; j++) {
      lanes d[SIDE], t[SIDE];
#pragma GCC unroll 8
      for (int i = 0; i < SIDE; i++) {
        if (INSIDE) {
          d[i] = load(corner + i * row + j * args.x.pixel + c);
        } else {
          const float *from = pixel(at.image, at.top - args.padding[0] + i, at.left - args.padding[2] + j);
          d[i] = from ? load_up_to(from + c, channels) : lanes{};
        }
      }
      Points<SIDE>::inputs(d, t);
#pragma GCC unroll 8
      for (int i = 0; i < SIDE; i++) half[i][j] = t[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < SIDE; i++) {
      lanes t[SIDE];
      Points<SIDE>::inputs(half[i], t);
#pragma GCC unroll 8
      for (int j = 0; j < SIDE; j++) store(v + (i * SIDE + j) * plane + c, t[j]);
    }
  }

  // Row `slot` of all planes of V, by way of `draft` if its numbers are scaled.
  void transform_input(int64_t tile, int64_t slot, float *v, float *units, float *draft) const {
    const Place at = place(tile);
    const int64_t top = at.top - args.padding[0], left = at.left - args.padding[2];
    const bool inside = top >= 0 && left >= 0 && top + SIDE <= args.x.h && left + SIDE <= args.x.w;
    const float *corner = inside ? pixel(at.image, top, left) : nullptr;
    v += slot * tiling.row;
    float *const to = Stored::SCALED ? draft : v;
    const int64_t plane = Stored::SCALED ? tiling.draft_row() : tiling.v_plane;
    for (int64_t c = 0; c < tiling.channels; c += LANES) {
      if (inside && c + LANES <= tiling.channels) transform_block<true>(corner, at, c, to, plane);
      else transform_block<false>(corner, at, c, to, plane);
    }
    if (Stored::SCALED) units[slot] = scale(draft, v);
  }

  // The tile's numbers as integers, and their unit: NaN if there is none.
  float scale(float *draft, float *v) const {
    const int64_t row = tiling.draft_row(), filled = (tiling.channels + LANES - 1) / LANES * LANES;
    lanes most = {}, squares = {};  // of each lane the largest sum of a point: no point's own sum is above the sum of these
    for (int64_t point = 0; point < POINTS; point++) {
      lanes own = {};
      if (filled < row) store(draft + point * row + filled, lanes{});
      for (int64_t c = 0; c < filled; c += LANES) {
        const lanes value = load(draft + point * row + c);
        most = larger(most, magnitude(value));
        own += value * value;
      }
      squares = larger(squares, own);
    }
    const float size = any_nan(most) ? NAN : largest(most);
    const bool finite = size - size == 0, counts = finite && size > TINY;
    const float square = sum(squares);
    const bool sums = square > SMALL_SQUARE && square < LARGE_SQUARE;  // no square has vanished or overflowed
    const float norm = sums || !counts ? std::sqrt(square) : norm_of_shares(draft, size);
    const float unit = std::max(norm / NORM, size / MOST);
    const float inverse = counts ? 1 / unit : 0;
    for (int64_t point = 0; point < POINTS; point++) {
      int16_t *to = reinterpret_cast<int16_t *>(v + point * tiling.v_plane);
      for (int64_t c = 0; c < row; c += LANES) store_nearest(to + c, finite ? load(draft + point * row + c) * inverse : lanes{});
    }
    return finite ? unit : NAN;
  }

  // The norm in units of the largest number: squares of numbers up to 1 neither overflow nor vanish.
  __attribute__((noinline)) float norm_of_shares(const float *draft, float size) const {
    lanes squares = {};
    for (int64_t point = 0; point < POINTS; point++) {
      lanes own = {};
      for (int64_t c = 0; c < tiling.draft_row(); c += LANES) {
        const lanes value = load(draft + point * tiling.draft_row() + c) * (1 / size);
        own += value * value;
      }
      squares = larger(squares, own);
    }
    return size * std::sqrt(sum(squares));
  }

  const element *plane_of(int64_t panel, int64_t point) const {
    return static_cast<const element *>(args.weights) + (panel * POINTS + point) * tiling.steps * Stored::TAKES * PANEL;
  }

  // The plane that follows in memory, or the first: with it begins whatever comes next.
  const element *after(int64_t panel, int64_t point) const {
    const int64_t next = panel * POINTS + point + 1;
    return plane_of(0, next < tiling.panels * POINTS ? next : 0);
  }

  // The products of `count` tiles from slot `first` on. Meanwhile the weights from `ahead` on, which are needed next, are called
  // for: each block of rows calls for its share of them.
  void multiply(int64_t point, int64_t panel, int64_t first, int64_t count, const float *v, float *products,
                const element *ahead) const {
    const element *weights = plane_of(panel, point);
    const auto *rows_of_v = reinterpret_cast<const typename Stored::Input *>(v + point * tiling.v_plane + first * tiling.row);
    products += point * tiling.product_plane + first * PANEL;
    const int64_t stride = (bytes_of_a_step<Stored>() + blocks_of(count) - 1) / blocks_of(count);
    for (int64_t b = 0; b < blocks_of(count); b++) {
      const int64_t start = block_start(count, b);
      with_rows(block_start(count, b + 1) - start, [&](auto rows) {
        Sums block[rows.value][WIDE] = {};
        accumulate<Stored, rows.value>(block, rows_of_v + start * tiling.row, tiling.row, weights, tiling.steps,
                                       reinterpret_cast<const char *>(ahead) + b * tiling.steps * stride, stride);
        for (int r = 0; r < rows.value; r++)
          for (int w = 0; w < WIDE; w++)
            store(products + (start + r) * PANEL + w * LANES, reinterpret_cast<lanes>(block[r][w]));
      });
    }
  }

  static lanes product(const float *from) {
    if constexpr (Stored::SCALED) return to_lanes(load_integers(from));
    else return load(from);
  }

  void transform_output(int64_t tile, int64_t slot, int64_t panel, const float *products, const float *units_of_tiles) const {
    const Place at = place(tile);
    for (int w = 0; w < WIDE; w++) {
      const int64_t k = panel * PANEL + w * LANES, channels = args.y.c - k;
      if (channels <= 0) return;
      const float *from = products + slot * PANEL + w * LANES;
      lanes half[M][SIDE], y[M][M];
#pragma GCC unroll 8
      for (int j = 0; j < SIDE; j++) {
        lanes m[SIDE], t[M];
#pragma GCC unroll 8
        for (int i = 0; i < SIDE; i++) m[i] = product(from + (i * SIDE + j) * tiling.product_plane);
        Points<SIDE>::template outputs<M>(m, t);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) half[i][j] = t[i];
      }
      lanes unit = all(1), probe = {};
      if (Stored::SCALED) unit = load(units(args.weights, tiling.channels, args.y.c) + k) * units_of_tiles[slot];
#pragma GCC unroll 8
      for (int i = 0; i < M; i++) {
        Points<SIDE>::template outputs<M>(half[i], y[i]);
#pragma GCC unroll 8
        for (int j = 0; j < M; j++) {
          if (Stored::SCALED) y[i][j] *= unit;
          probe += y[i][j] * 0.0f;
        }
      }
      if (__builtin_expect(any_nan(probe), 0)) directly(at, panel, w, y);
      finish(at, k, std::min<int64_t>(channels, LANES), y);
    }
  }

  // Infinities and NaNs would spread over a whole tile: such a tile is computed by the definition, with the filter read
  // back out of its transform.
  __attribute__((noinline)) void directly(const Place &at, int64_t panel, int w, lanes (&y)[M][M]) const {
    for (auto &row : y)
      for (auto &value : row) value = lanes{};
    for (int64_t c = 0; c < tiling.channels; c++) {
      lanes g[R][R];
      for (int r = 0; r < R; r++)
        for (int s = 0; s < R; s++) g[r][s] = filter_tap(panel, c, w, r, s);
      for (int i = 0; i < M; i++)
        for (int j = 0; j < M; j++)
          for (int r = 0; r < R; r++)
            for (int s = 0; s < R; s++) {
              const float *from =
                  pixel(at.image, at.top - args.padding[0] + i + r, at.left - args.padding[2] + j + s);
              if (from) y[i][j] += from[c] * g[r][s];
            }
    }
  }

  lanes filter_tap(int64_t panel, int64_t c, int w, int r, int s) const {
    lanes tap = {};
    for (int p = 0; p < SIDE; p++)
      for (int q = 0; q < SIDE; q++) {
        const float factor = static_cast<float>(recover<SIDE, R>(r, p) * recover<SIDE, R>(s, q));
        if (factor == 0) continue;
        const element *plane = plane_of(panel, p * SIDE + q);
        for (int lane = 0; lane < LANES; lane++)
          tap[lane] += factor * Stored::decode(plane[Stored::place(c, w * LANES + lane)]);
      }
    if (Stored::SCALED) tap *= load(units(args.weights, tiling.channels, args.y.c) + panel * PANEL + w * LANES);
    return tap;
  }

  // Bias, addition, ReLU and pool, and the part of the tile that lies in the map is written.
  void finish(const Place &at, int64_t k, int64_t channels, lanes (&y)[M][M]) const {
    const int64_t rows = std::min<int64_t>(M, tiling.height - at.top);
    const int64_t columns = std::min<int64_t>(M, tiling.width - at.left);
    const lanes bias = args.bias ? load_up_to(args.bias + k, channels) : lanes{};
#pragma GCC unroll 8
    for (int i = 0; i < M; i++)
#pragma GCC unroll 8
      for (int j = 0; j < M; j++) {
        y[i][j] += bias;
        if (args.add && i < rows && j < columns) {
          const int64_t at_pixel = (at.image * tiling.height + at.top + i) * tiling.width + at.left + j;
          y[i][j] += load_up_to(args.add + at_pixel * args.add_pixel + k, channels);
        }
        if (args.relu) y[i][j] = at_least_zero(y[i][j]);
      }
    if (args.pool == VD_NO_POOL) {
      for (int i = 0; i < rows; i++) {
        float *to = args.y.data + ((at.image * args.y.h + at.top + i) * args.y.w + at.left) * args.y.pixel + k;
        if (channels == LANES)
          for (int j = 0; j < columns; j++) store(to + j * args.y.pixel, y[i][j]);
        else
          for (int j = 0; j < columns; j++) store_some(to + j * args.y.pixel, y[i][j], channels);
      }
      return;
    }
    for (int i = 0; i < rows; i += 2)
      for (int j = 0; j < columns; j += 2) {
        const int64_t row = (at.top + i) / 2, column = (at.left + j) / 2;
        if (row >= args.y.h || column >= args.y.w) continue;  // the odd last row or column that "floor" leaves out
        lanes most = y[i][j];
        if (j + 1 < columns) most = larger(most, y[i][j + 1]);
        if (i + 1 < rows) most = larger(most, y[i + 1][j]);
        if (i + 1 < rows && j + 1 < columns) most = larger(most, y[i + 1][j + 1]);
        store_up_to(args.y.data + ((at.image * args.y.h + row) * args.y.w + column) * args.y.pixel + k, most, channels);
      }
  }

  int run() const {
    float *const space = static_cast<float *>(args.workspace);
    int64_t parts = (tiling.count + tiling.tiles - 1) / tiling.tiles;
    const auto start = [&](int64_t part) { return tiling.count * part / parts; };
    if (!tiling.together) {
      const int64_t threads = std::max(args.threads, 1);
      parts = std::min((parts + threads - 1) / threads * threads, tiling.count);  // as many for each thread
      share(args.threads, parts, [&](int64_t part, int worker) {
        float *v = space + worker * tiling.workspace_size(1), *products = v + tiling.v_size();
        float *units = products + tiling.product_size(), *draft = units + tiling.units_size();
        const int64_t first = start(part), tiles = start(part + 1) - first;
        for (int64_t t = 0; t < tiles; t++) transform_input(first + t, t, v, units, draft);
        for (int64_t panel = 0; panel < tiling.panels; panel++) {
          for (int64_t point = 0; point < POINTS; point++) multiply(point, panel, 0, tiles, v, products, after(panel, point));
          for (int64_t t = 0; t < tiles; t++) transform_output(first + t, t, panel, products, units);
        }
      });
      return VD_OK;
    }
    float *v = space, *products = v + tiling.v_size();
    float *units = products + tiling.product_size(), *drafts = units + tiling.units_size();
    const int64_t each = POINTS * tiling.product_plane;  // products of one panel
    for (int64_t part = 0; part < parts; part++) {
      const int64_t first = start(part), tiles = start(part + 1) - first;
      share(args.threads, tiles, [&](int64_t t, int worker) {
        transform_input(first + t, t, v, units, drafts + worker * tiling.draft_size());
      });
      // A point's V stays near while its weights, panel after panel, pass by once.
      const int64_t chunks = std::clamp<int64_t>(tiles * tiling.row * 4 / NEAR, 1, tiles);
      share(args.threads, POINTS * chunks, [&](int64_t i, int) {
        const int64_t point = i / chunks, chunk = i % chunks;
        const int64_t from = tiles * chunk / chunks, count = tiles * (chunk + 1) / chunks - from;
        for (int64_t panel = 0; panel < tiling.panels; panel++)
          multiply(point, panel, from, count, v, products + panel * each,
                   panel + 1 < tiling.panels ? plane_of(panel + 1, point) : plane_of(0, (point + 1) % POINTS));
      });
      share(args.threads, tiling.panels * tiles, [&](int64_t i, int) {
        transform_output(first + i % tiles, i % tiles, i / tiles, products + i / tiles * each, units);
      });
    }
    return VD_OK;
  }
};

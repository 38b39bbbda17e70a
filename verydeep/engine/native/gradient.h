// The gradient of a 3x3 convolution by its weights, by the tiles of winograd.h.
//
// A tile's outputs are A^T (U * V) A with U = G g G^T and V = B^T d B, product by product. So the gradient by U is V * (A y' A^T),
// summed over all tiles, with y' the gradient of the outputs; and that by the filter g is G^T (.) G. As in the convolution itself,
// (M + 2)^2 products take the place of 9 M^2. D, the transformed y', is [point][panel][tile][PANEL], and the sums, like the weights,
// [panel][point][channels][PANEL].

constexpr int64_t GATHERED = 4 << 20;  // bytes of V and D at a time
constexpr int64_t FEWEST_TILES = 128;  // at a time, whatever they take: the sums are read and written once for each such part

template <int M> struct WeightGradient {
  typedef Winograd<M, 3, Float32> Forward;
  static constexpr int SIDE = Forward::SIDE, POINTS = Forward::POINTS;

  const vd_conv_args &args;
  const Forward forward;
  const Tiling<M, 3, Float32> &tiling;
  const int64_t d_panel, d_plane;  // from a panel of D to the next, from a point to the next

  explicit WeightGradient(const vd_conv_args &args)
      : args(args), forward(args, gathered(args)), tiling(forward.tiling), d_panel(tiling.tiles * PANEL),
        d_plane(tiling.off_the_same_sets(tiling.panels * d_panel)) {}

  WeightGradient(const WeightGradient &) = delete;  // `tiling` is its own

  static Tiling<M, 3, Float32> gathered(const vd_conv_args &args) {
    Tiling<M, 3, Float32> tiling(args);
    const int64_t bytes = POINTS * 4 * (tiling.row + tiling.panels * PANEL);
    tiling.take(std::min(std::max(GATHERED / bytes, FEWEST_TILES), tiling.count));
    return tiling;
  }

  int64_t sums_size() const { return POINTS * tiling.channels * tiling.panels * PANEL; }
  int64_t workspace_size() const { return tiling.v_size() + POINTS * d_plane + sums_size(); }

  float *sums_of(float *sums, int64_t panel, int64_t point, int64_t c) const {
    return sums + ((panel * POINTS + point) * tiling.channels + c) * PANEL;
  }

  void transform_gradient(int64_t tile, int64_t slot, float *d) const {
    const typename Forward::Place at = forward.place(tile);
    const vd_map &y = args.y;
    const int64_t rows = std::min<int64_t>(M, y.h - at.top), columns = std::min<int64_t>(M, y.w - at.left);
    const float *corner = y.data + ((at.image * y.h + at.top) * y.w + at.left) * y.pixel;
    for (int64_t k = 0; k < tiling.panels * PANEL; k += LANES) {
      const int64_t channels = y.c - k;
      lanes half[SIDE][M];
#pragma GCC unroll 8
      for (int j = 0; j < M; j++) {
        lanes value[M], t[SIDE];
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) {
          const bool counts = i < rows && j < columns && channels > 0;
          value[i] = counts ? load_up_to(corner + (i * y.w + j) * y.pixel + k, channels) : lanes{};
        }
        Points<SIDE>::gradients(value, t);
#pragma GCC unroll 8
        for (int i = 0; i < SIDE; i++) half[i][j] = t[i];
      }
      float *to = d + k / PANEL * d_panel + slot * PANEL + k % PANEL;
#pragma GCC unroll 8
      for (int i = 0; i < SIDE; i++) {
        lanes t[SIDE];
        Points<SIDE>::gradients(half[i], t);
#pragma GCC unroll 8
        for (int j = 0; j < SIDE; j++) store(to + (i * SIDE + j) * d_plane, t[j]);
      }
    }
  }

  // Adds the products of `count` tiles at one point; the first part of them finds no sums.
  void multiply(int64_t point, int64_t panel, int64_t count, bool first, const float *v, const float *d, float *sums) const {
    v += point * tiling.v_plane;
    d += point * d_plane + panel * d_panel;
    for (int64_t b = 0; b < blocks_of(tiling.channels); b++) {
      const int64_t start = block_start(tiling.channels, b);
      float *const to = sums_of(sums, panel, point, start);
      with_rows(block_start(tiling.channels, b + 1) - start, [&](auto rows) {
        lanes block[rows.value][WIDE] = {};
        for (int64_t tile = 0; tile < count; tile++) {
          lanes wide[WIDE];
          Float32::fetch(d + tile * PANEL, wide);
#pragma GCC unroll 16
          for (int r = 0; r < rows.value; r++) {
            const lanes one = all(v[tile * tiling.row + start + r]);
#pragma GCC unroll 4
            for (int w = 0; w < WIDE; w++) block[r][w] += one * wide[w];
          }
        }
        for (int r = 0; r < rows.value; r++)
          for (int w = 0; w < WIDE; w++) {
            float *sum = to + r * PANEL + w * LANES;
            store(sum, first ? block[r][w] : load(sum) + block[r][w]);
          }
      });
    }
  }

  // G^T (.) G of a channel's sums, for the outputs of one vector.
  void transform_sums(const float *sums, lanes (&filters)[3][3]) const {
    const int64_t point = tiling.channels * PANEL;
    lanes half[3][SIDE] = {};
#pragma GCC unroll 8
    for (int j = 0; j < SIDE; j++)
#pragma GCC unroll 8
      for (int i = 0; i < SIDE; i++) {
        const lanes value = load(sums + (i * SIDE + j) * point);
#pragma GCC unroll 4
        for (int tap = 0; tap < 3; tap++) half[tap][j] += static_cast<float>(share_of<SIDE, 3>(i, tap)) * value;
      }
#pragma GCC unroll 4
    for (int r = 0; r < 3; r++)
#pragma GCC unroll 4
      for (int s = 0; s < 3; s++) {
        filters[r][s] = lanes{};
#pragma GCC unroll 8
        for (int j = 0; j < SIDE; j++) filters[r][s] += static_cast<float>(share_of<SIDE, 3>(j, s)) * half[r][j];
      }
  }

  // Several channels together, so that what lies side by side in memory is written at once.
  void write_filters(const float *sums, int64_t first_k, int64_t first_c, float *gradient, const int64_t strides[4]) const {
    const int64_t outputs = std::min<int64_t>(LANES, args.y.c - first_k), channels = std::min<int64_t>(LANES, tiling.channels - first_c);
    lanes filters[LANES][3][3];
    for (int64_t c = 0; c < channels; c++) transform_sums(sums + (first_c + c) * PANEL, filters[c]);
    for (int64_t k = 0; k < outputs; k++)
      for (int r = 0; r < 3; r++)
        for (int s = 0; s < 3; s++) {
          float *to = gradient + (first_k + k) * strides[0] + first_c * strides[1] + r * strides[2] + s * strides[3];
          for (int64_t c = 0; c < channels; c++) to[c * strides[1]] = filters[c][r][s][k];
        }
  }

  void run(float *gradient, const int64_t strides[4]) const {
    float *const v = static_cast<float *>(args.workspace), *d = v + tiling.v_size(), *sums = d + POINTS * d_plane;
    const int64_t parts = tiling.count ? (tiling.count + tiling.tiles - 1) / tiling.tiles : 0;
    if (parts == 0) std::fill_n(sums, sums_size(), 0.0f);
    for (int64_t part = 0; part < parts; part++) {
      const int64_t first = tiling.count * part / parts, tiles = tiling.count * (part + 1) / parts - first;
      share(args.threads, tiles, [&](int64_t t, int) {
        forward.transform_input(first + t, t, v, nullptr, nullptr);
        transform_gradient(first + t, t, d);
      });
      share(args.threads, POINTS * tiling.panels, [&](int64_t i, int) {
        multiply(i / tiling.panels, i % tiling.panels, tiles, part == 0, v, d, sums);
      });
    }
    const int64_t pieces = (tiling.channels + LANES - 1) / LANES, vectors = (args.y.c + LANES - 1) / LANES;
    share(args.threads, vectors * pieces, [&](int64_t i, int) {
      const int64_t k = i / pieces * LANES;
      write_filters(sums_of(sums, k / PANEL, 0, 0) + k % PANEL, k, i % pieces * LANES, gradient, strides);
    });
  }
};

inline int unfit_gradient(const vd_conv_args &args) {
  const int wrong = unfit(args);
  if (wrong != VD_OK) return wrong;
  const bool known = args.kernel[0] == 3 && (args.method == VD_F2 || args.method == VD_F4);
  return known && args.type == VD_FLOAT32 && args.pool == VD_NO_POOL ? VD_OK : VD_UNSUPPORTED;
}

template <class Body> inline auto with_gradient(const vd_conv_args &args, const Body &body) {
  return args.method == VD_F2 ? body(WeightGradient<2>(args)) : body(WeightGradient<4>(args));
}

inline int64_t conv_gradient_workspace_bytes(const vd_conv_args *args) {
  if (unfit_gradient(*args) != VD_OK) return -1;
  return with_gradient(*args, [](const auto &by_weights) { return by_weights.workspace_size() * int64_t(sizeof(float)); });
}

inline int conv_gradient(const vd_conv_args *args, float *gradient, const int64_t *strides) {
  const int wrong = unfit_gradient(*args);
  if (wrong != VD_OK) return wrong;
  if (args->workspace_bytes < conv_gradient_workspace_bytes(args)) return VD_WORKSPACE_TOO_SMALL;
  return with_gradient(*args, [&](const auto &by_weights) {
    by_weights.run(gradient, strides);
    return int(VD_OK);
  });
}

// Convolutions of any kernel, stride, dilation and groups: each output is one inner product over its window.
//
// Weights are [group][panel][kernel row][kernel column][channels][PANEL]. Where there is padding, the images are copied into a
// frame of zeros first, so that no window has to ask where the border is. The copy for products of integers holds levels: 0 to
// LEVELS units, of which the weights were told when they were packed.

constexpr int64_t FRAMED = 8 << 20;       // bytes of framed images at a time, unless one image is larger
constexpr int64_t WEIGHTS_NEAR = 512 << 10;  // bytes of weights that stay near while row after row is computed
constexpr int64_t SEGMENT = 8 * TALL;     // pixels of a row, where rows do not matter (1x1)
constexpr float LEVELS = 255, MOST_WEIGHT = 127;  // the largest integers of inputs and of weights
constexpr int64_t MOST_PRODUCTS = 65536;      // of LEVELS times WEIGHTS that a sum of 32 bits holds
constexpr int WHOLE = 4;                      // channels of a group come in fours, or a group ends within a step of depth

template <class Stored> struct Direct {
  typedef typename Stored::element element;
  typedef typename Stored::Input Input;

  const vd_conv_args &args;
  int64_t height, width;          // of the output
  int64_t group_c, group_k, panels;  // of one group
  int64_t group_steps;            // of depth, at one pixel
  bool framed, pointwise;
  int64_t frame_h, frame_w, frame_pixel;  // of the images that are read: pixels, and inputs from one to the next
  int64_t images;                 // framed at a time

  explicit Direct(const vd_conv_args &args) : args(args) {
    height = outputs(0, args.x.h);
    width = outputs(1, args.x.w);
    group_c = args.x.c / args.groups;
    group_k = args.y.c / args.groups;
    panels = (group_k + PANEL - 1) / PANEL;
    group_steps = steps(group_c);
    const bool padded = args.padding[0] || args.padding[1] || args.padding[2] || args.padding[3];
    framed = padded || Stored::SCALED;
    pointwise = !padded && args.kernel[0] == 1 && args.kernel[1] == 1 && args.stride[0] == 1 && args.stride[1] == 1;
    frame_h = args.x.h + args.padding[0] + args.padding[1];
    frame_w = args.x.w + args.padding[2] + args.padding[3];
    frame_pixel = framed ? steps(args.x.c) : args.x.pixel;
    images = !framed ? args.x.n
                     : std::max<int64_t>(1, std::min(args.x.n, FRAMED / std::max<int64_t>(1, frame_inputs() * 4)));
  }

  static int64_t steps(int64_t c) { return (c + Stored::TAKES - 1) / Stored::TAKES; }

  int64_t outputs(int axis, int64_t size) const {
    const int64_t window = args.dilation[axis] * (args.kernel[axis] - 1) + 1;
    return (size + args.padding[2 * axis] + args.padding[2 * axis + 1] - window) / args.stride[axis] + 1;
  }

  // In units of four bytes: the frames, and behind those of levels what each pixel adds to every window that sees it: 0, or NaN if
  // one of its numbers is none; and whether there is such a one.
  int64_t frame_pixels() const { return frame_h * frame_w; }
  int64_t frame_inputs() const { return frame_pixels() * frame_pixel; }
  int64_t workspace_size() const { return framed ? images * frame_inputs() + (Stored::SCALED ? images * frame_pixels() + 1 : 0) : 0; }
  float *spoilt() const { return static_cast<float *>(args.workspace) + images * frame_inputs(); }
  int32_t *any_spoilt() const { return reinterpret_cast<int32_t *>(spoilt() + images * frame_pixels()); }

  static int64_t panel_elements(int64_t c, const vd_conv_args &args) {
    return args.kernel[0] * args.kernel[1] * steps(c / args.groups) * Stored::TAKES * PANEL;
  }
  static int64_t all_panels(int64_t k, const vd_conv_args &args) { return args.groups * ((k / args.groups + PANEL - 1) / PANEL); }

  // Behind weights that are integers lie the unit of each sum, and the inverse of the inputs' unit: floats.
  static int64_t packed_elements(int64_t c, int64_t k, const vd_conv_args &args) {
    const int64_t units = Stored::SCALED ? (all_panels(k, args) * PANEL + 1) * 4 / int64_t(sizeof(element)) : 0;
    return all_panels(k, args) * panel_elements(c, args) + units;
  }
  static float *units(const void *packed, int64_t c, int64_t k, const vd_conv_args &args) {
    return reinterpret_cast<float *>(const_cast<element *>(static_cast<const element *>(packed)) +
                                     all_panels(k, args) * panel_elements(c, args));
  }

  // False where a unit would be no ordinary number.
  static bool pack(const float *weights, const int64_t strides[4], int64_t c, int64_t k, const vd_conv_args &args,
                   element *packed) {
    const int64_t taps = args.kernel[0] * args.kernel[1], group_c = c / args.groups, group_k = k / args.groups;
    const int64_t panels = (group_k + PANEL - 1) / PANEL, row = steps(group_c) * Stored::TAKES;
    int32_t out_of_range = 0;
    share(args.threads, args.groups * panels, [&](int64_t index, int) {
      const int64_t group = index / panels, panel = index % panels;
      for (int column = 0; column < PANEL; column++) {
        const int64_t output = panel * PANEL + column;
        const auto weight = [&](int64_t tap, int64_t channel) {
          if (output >= group_k || channel >= group_c) return 0.0f;
          return weights[(group * group_k + output) * strides[0] + channel * strides[1] + tap / args.kernel[1] * strides[2] +
                         tap % args.kernel[1] * strides[3]];
        };
        float inverse = 1;
        if (Stored::SCALED) {
          float most = 0;
          for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t channel = 0; channel < group_c; channel++) {
              const float size = std::fabs(weight(tap, channel));
              most = size > most || size != size ? size : most;  // a NaN stays
            }
          const bool finite = most - most == 0;
          const bool counts = finite && most > TINY;
          inverse = counts ? MOST_WEIGHT / most : 0;
          const float unit = counts ? most / MOST_WEIGHT * (args.largest / LEVELS) : 0;
          if (counts && !std::isnormal(unit)) __atomic_store_n(&out_of_range, 1, __ATOMIC_RELAXED);
          units(packed, c, k, args)[index * PANEL + column] = finite ? unit : NAN;  // no integer says infinity or NaN
        }
        for (int64_t tap = 0; tap < taps; tap++)
          for (int64_t channel = 0; channel < row; channel++) {
            const float value = weight(tap, channel);
            packed[index * panel_elements(c, args) + Stored::place(tap * row + channel, column)] =
                Stored::encode(!Stored::SCALED ? value : inverse > 0 ? value * inverse : 0.0f);
          }
      }
    });
    if (Stored::SCALED) units(packed, c, k, args)[all_panels(k, args) * PANEL] = LEVELS / args.largest;
    return !out_of_range;
  }

  void frame(int64_t first, int64_t count) const {
    if (Stored::SCALED) *any_spoilt() = 0;
    share(args.threads, count * frame_h, [&](int64_t index, int) {
      const int64_t image = index / frame_h, row = index % frame_h - args.padding[0], c = args.x.c;
      float *to = static_cast<float *>(args.workspace) + index * frame_w * frame_pixel;
      if (Stored::SCALED) std::memset(spoilt() + index * frame_w, 0, static_cast<size_t>(frame_w) * sizeof(float));
      if (row < 0 || row >= args.x.h) {
        std::memset(to, 0, static_cast<size_t>(frame_w * frame_pixel) * sizeof(float));
        return;
      }
      std::memset(to, 0, static_cast<size_t>(args.padding[2] * frame_pixel) * sizeof(float));
      to += args.padding[2] * frame_pixel;
      const float *from = args.x.data + ((first + image) * args.x.h + row) * args.x.w * args.x.pixel;
      if constexpr (Stored::SCALED) {
        const float inverse = units(args.weights, c, args.y.c, args)[all_panels(args.y.c, args) * PANEL];
        float *const odd = spoilt() + index * frame_w + args.padding[2];
        for (int64_t column = 0; column < args.x.w; column++)
          if (!to_levels(from + column * args.x.pixel, inverse, reinterpret_cast<Level *>(to + column * frame_pixel))) {
            odd[column] = NAN;
            __atomic_store_n(any_spoilt(), 1, __ATOMIC_RELAXED);
          }
      } else if (args.x.pixel == c) {
        std::memcpy(to, from, static_cast<size_t>(args.x.w * c) * sizeof(float));
      } else {
        for (int64_t column = 0; column < args.x.w; column++)
          std::memcpy(to + column * c, from + column * args.x.pixel, static_cast<size_t>(c) * sizeof(float));
      }
      std::memset(to + args.x.w * frame_pixel, 0, static_cast<size_t>(args.padding[3] * frame_pixel) * sizeof(float));
    });
  }

  // The levels of a pixel; false if one of its numbers is an infinity or a NaN.
  bool to_levels(const float *from, float inverse, Level *to) const {
    const int64_t c = args.x.c;
    lanes odd = {};
    const auto level = [&](lanes value) {
      odd += value * 0.0f;
      value = value * inverse;
      value = value > 0.0f ? value : lanes{};
      return value < LEVELS ? value : all(LEVELS);
    };
    int64_t channel = 0;
    for (; channel + LANES <= c; channel += LANES) store_nearest(to + channel, level(load(from + channel)));
    if (channel < c) {
      Level last[LANES];
      store_nearest(last, level(load_some(from + channel, c - channel)));  // zeros fill the last step of depth
      std::memcpy(to + channel, last, static_cast<size_t>(frame_pixel * Stored::TAKES - channel) * sizeof(Level));
    }
    return !any_nan(odd);
  }

  // What the pixels of a window add to its outputs, beside the products: 0 or NaN.
  float spoiling(const float *corner) const {
    float total = 0;
    for (int64_t y = 0; y < args.kernel[0]; y++)
      for (int64_t x = 0; x < args.kernel[1]; x++) total += corner[y * args.dilation[0] * frame_w + x * args.dilation[1]];
    return total;
  }

  // `count` neighbouring outputs from pixel `first` of the batch's outputs on; `corner` is the pixel of `source` where their first
  // window begins.
  void compute(const Input *source, int64_t corner, int64_t first, int64_t count, int64_t group, int64_t panel) const {
    const int64_t step = args.stride[1] * frame_pixel, row = args.dilation[0] * frame_w * frame_pixel;
    const bool joined = frame_pixel == group_steps && args.dilation[1] == 1;  // a window's row is one piece of memory
    const int64_t runs = joined ? 1 : args.kernel[1], depth = joined ? args.kernel[1] * group_steps : group_steps;
    const int64_t column = args.dilation[1] * frame_pixel, index = group * panels + panel;
    const Input *from = source + corner * frame_pixel + group * group_steps;
    const float *unit = nullptr, *odd = nullptr;
    if constexpr (Stored::SCALED) {
      unit = units(args.weights, args.x.c, args.y.c, args) + index * PANEL;
      if (__builtin_expect(*any_spoilt(), 0)) odd = spoilt() + corner;
    }
    for (int64_t b = 0; b < blocks_of(count); b++) {
      const int64_t start = block_start(count, b);
      with_rows(block_start(count, b + 1) - start, [&](auto rows) {
        typename Stored::Sums block[rows.value][WIDE] = {};
        const element *weights = static_cast<const element *>(args.weights) + index * panel_elements(args.x.c, args);
        const int64_t elements = depth * Stored::TAKES * PANEL;
        for (int64_t y = 0; y < args.kernel[0]; y++)
          for (int64_t x = 0; x < runs; x++, weights += elements)
            accumulate<Stored, rows.value>(block, from + start * step + y * row + x * column, step, weights, depth,
                                           weights + elements, bytes_of_a_step<Stored>());
#pragma GCC unroll 4
        for (int w = 0; w < WIDE; w++) {
          const int64_t k = panel * PANEL + w * LANES, channels = std::min<int64_t>(LANES, group_k - k);
          if (channels <= 0) break;
          const int64_t to = group * group_k + k;
          const lanes bias = args.bias ? load_up_to(args.bias + to, channels) : lanes{};
#pragma GCC unroll 16
          for (int r = 0; r < rows.value; r++) {
            const int64_t pixel = first + start + r;
            lanes value;
            if constexpr (Stored::SCALED) {
              value = to_lanes(block[r][w]) * load(unit + w * LANES) + bias;
              if (odd) value += spoiling(odd + (start + r) * args.stride[1]);
            } else {
              value = block[r][w] + bias;
            }
            if (args.add) value += load_up_to(args.add + pixel * args.add_pixel + to, channels);
            if (args.relu) value = at_least_zero(value);
            store_up_to(args.y.data + pixel * args.y.pixel + to, value, channels);
          }
        }
      });
    }
  }

  int run() const {
    const int64_t count_of_panels = args.groups * panels;
    const bool near = count_of_panels * panel_elements(args.x.c, args) * int64_t(sizeof(element)) <= WEIGHTS_NEAR;
    for (int64_t done = 0; done < args.x.n; done += images) {
      const int64_t count = std::min(images, args.x.n - done);
      const Input *source;
      if (framed) {
        source = static_cast<const Input *>(args.workspace);
        frame(done, count);
      } else {
        source = reinterpret_cast<const Input *>(args.x.data);
      }
      const int64_t pixels = count * height * width;
      const int64_t rows = pointwise ? (pixels + SEGMENT - 1) / SEGMENT : count * height;
      const auto compute_row = [&](int64_t row, int64_t panel) {
        int64_t first, length, corner;
        if (pointwise) {
          first = corner = row * SEGMENT;
          length = std::min(SEGMENT, pixels - first);
        } else {
          first = row * width;
          length = width;
          corner = (row / height * frame_h + row % height * args.stride[0]) * frame_w;
        }
        compute(source, corner, done * height * width + first, length, panel / panels, panel % panels);
      };
      if (near) {  // all panels of a row, then the next row
        share(args.threads, rows, [&](int64_t row, int) {
          for (int64_t panel = 0; panel < count_of_panels; panel++) compute_row(row, panel);
        });
      } else {  // all rows with a panel, then the next panel; in bands, so that no thread is left waiting
        const int64_t bands = std::min(rows, std::max<int64_t>(1, 4 * args.threads / count_of_panels + 1));
        share(args.threads, count_of_panels * bands, [&](int64_t index, int) {
          const int64_t band = index % bands;
          for (int64_t row = rows * band / bands; row < rows * (band + 1) / bands; row++) compute_row(row, index / bands);
        });
      }
    }
    return VD_OK;
  }
};

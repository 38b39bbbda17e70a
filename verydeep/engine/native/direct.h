// Convolutions of any kernel, stride, dilation and groups: each output is one inner product over its window.
//
// Weights are [group][panel][kernel row][kernel column][channels][PANEL]. Where there is padding, the images are copied into a
// frame of zeros first, so that no window has to ask where the border is.

constexpr int64_t FRAMED = 8 << 20;       // bytes of framed images at a time, unless one image is larger
constexpr int64_t WEIGHTS_NEAR = 512 << 10;  // bytes of weights that stay near while row after row is computed
constexpr int64_t SEGMENT = 8 * TALL;     // pixels of a row, where rows do not matter (1x1)

template <class Stored> struct Direct {
  typedef typename Stored::element element;

  const vd_conv_args &args;
  int64_t height, width;          // of the output
  int64_t group_c, group_k, panels;  // of one group
  bool framed, pointwise;
  int64_t frame_h, frame_w, frame_pixel;  // of the images that are read
  int64_t images;                 // framed at a time

  explicit Direct(const vd_conv_args &args) : args(args) {
    height = outputs(0, args.x.h);
    width = outputs(1, args.x.w);
    group_c = args.x.c / args.groups;
    group_k = args.y.c / args.groups;
    panels = (group_k + PANEL - 1) / PANEL;
    framed = args.padding[0] || args.padding[1] || args.padding[2] || args.padding[3];
    pointwise = !framed && args.kernel[0] == 1 && args.kernel[1] == 1 && args.stride[0] == 1 && args.stride[1] == 1;
    frame_h = args.x.h + args.padding[0] + args.padding[1];
    frame_w = args.x.w + args.padding[2] + args.padding[3];
    frame_pixel = framed ? args.x.c : args.x.pixel;
    images = !framed ? args.x.n
                     : std::max<int64_t>(1, std::min(args.x.n, FRAMED / std::max<int64_t>(1, frame_floats() * 4)));
  }

  int64_t outputs(int axis, int64_t size) const {
    const int64_t window = args.dilation[axis] * (args.kernel[axis] - 1) + 1;
    return (size + args.padding[2 * axis] + args.padding[2 * axis + 1] - window) / args.stride[axis] + 1;
  }

  int64_t frame_floats() const { return frame_h * frame_w * args.x.c; }
  int64_t workspace_floats() const { return framed ? images * frame_floats() : 0; }
  int64_t panel_elements() const { return args.kernel[0] * args.kernel[1] * group_c * PANEL; }

  static int64_t packed_elements(int64_t c, int64_t k, const vd_conv_args &args) {
    const int64_t panels = (k / args.groups + PANEL - 1) / PANEL;
    return args.groups * panels * args.kernel[0] * args.kernel[1] * (c / args.groups) * PANEL;
  }

  static void pack(const float *weights, const int64_t strides[4], int64_t c, int64_t k, const vd_conv_args &args,
                   element *packed) {
    const int64_t taps = args.kernel[0] * args.kernel[1], group_c = c / args.groups, group_k = k / args.groups;
    const int64_t panels = (group_k + PANEL - 1) / PANEL;
    share(args.threads, args.groups * panels, [&](int64_t index, int) {
      const int64_t group = index / panels, panel = index % panels;
      for (int64_t tap = 0; tap < taps; tap++)
        for (int64_t channel = 0; channel < group_c; channel++)
          for (int column = 0; column < PANEL; column++) {
            const int64_t output = panel * PANEL + column;
            const float *from = weights + (group * group_k + output) * strides[0] + channel * strides[1] +
                                tap / args.kernel[1] * strides[2] + tap % args.kernel[1] * strides[3];
            const float value = output < group_k ? *from : 0.0f;
            packed[index * taps * group_c * PANEL + Stored::place(tap * group_c + channel, column)] = Stored::encode(value);
          }
    });
  }

  void frame(int64_t first, int64_t count, float *space) const {
    share(args.threads, count * frame_h, [&](int64_t index, int) {
      const int64_t image = index / frame_h, row = index % frame_h - args.padding[0], c = args.x.c;
      float *to = space + index * frame_w * c;
      if (row < 0 || row >= args.x.h) {
        std::memset(to, 0, static_cast<size_t>(frame_w * c) * sizeof(float));
        return;
      }
      std::memset(to, 0, static_cast<size_t>(args.padding[2] * c) * sizeof(float));
      to += args.padding[2] * c;
      const float *from = args.x.data + ((first + image) * args.x.h + row) * args.x.w * args.x.pixel;
      if (args.x.pixel == c) {
        std::memcpy(to, from, static_cast<size_t>(args.x.w * c) * sizeof(float));
      } else {
        for (int64_t column = 0; column < args.x.w; column++)
          std::memcpy(to + column * c, from + column * args.x.pixel, static_cast<size_t>(c) * sizeof(float));
      }
      std::memset(to + args.x.w * c, 0, static_cast<size_t>(args.padding[3] * c) * sizeof(float));
    });
  }

  // `count` neighbouring outputs from pixel `first` of the batch's outputs on; `from` is their first window's corner.
  void compute(const float *from, int64_t first, int64_t count, int64_t group, int64_t panel) const {
    const int64_t step = args.stride[1] * frame_pixel, row = args.dilation[0] * frame_w * frame_pixel;
    const bool joined = frame_pixel == group_c && args.dilation[1] == 1;  // a window's row is one piece of memory
    const int64_t runs = joined ? 1 : args.kernel[1], depth = joined ? args.kernel[1] * group_c : group_c;
    const int64_t column = args.dilation[1] * frame_pixel;
    from += group * group_c;
    for (int64_t b = 0; b < blocks_of(count); b++) {
      const int64_t start = block_start(count, b);
      with_rows(block_start(count, b + 1) - start, [&](auto rows) {
        typename Stored::Sums block[rows.value][WIDE] = {};
        const element *weights = static_cast<const element *>(args.weights) + (group * panels + panel) * panel_elements();
        for (int64_t y = 0; y < args.kernel[0]; y++)
          for (int64_t x = 0; x < runs; x++, weights += depth * PANEL)
            accumulate<Stored, rows.value>(block, from + start * step + y * row + x * column, step, weights, depth,
                                           weights + depth * PANEL, PANEL);
#pragma GCC unroll 4
        for (int w = 0; w < WIDE; w++) {
          const int64_t k = panel * PANEL + w * LANES, channels = std::min<int64_t>(LANES, group_k - k);
          if (channels <= 0) break;
          const int64_t to = group * group_k + k;
          const lanes bias = args.bias ? load_up_to(args.bias + to, channels) : lanes{};
#pragma GCC unroll 16
          for (int r = 0; r < rows.value; r++) {
            const int64_t pixel = first + start + r;
            lanes value = block[r][w] + bias;
            if (args.add) value += load_up_to(args.add + pixel * args.add_pixel + to, channels);
            if (args.relu) value = at_least_zero(value);
            store_up_to(args.y.data + pixel * args.y.pixel + to, value, channels);
          }
        }
      });
    }
  }

  int run() const {
    const int64_t all_panels = args.groups * panels;
    const bool near = all_panels * panel_elements() * int64_t(sizeof(element)) <= WEIGHTS_NEAR;
    for (int64_t done = 0; done < args.x.n; done += images) {
      const int64_t count = std::min(images, args.x.n - done);
      const float *source = args.x.data;
      if (framed) {
        source = static_cast<float *>(args.workspace);
        frame(done, count, static_cast<float *>(args.workspace));
      }
      const int64_t pixels = count * height * width;
      const int64_t rows = pointwise ? (pixels + SEGMENT - 1) / SEGMENT : count * height;
      const auto compute_row = [&](int64_t row, int64_t panel) {
        int64_t first, length;
        const float *from;
        if (pointwise) {
          first = row * SEGMENT;
          length = std::min(SEGMENT, pixels - first);
          from = source + first * frame_pixel;
        } else {
          first = row * width;
          length = width;
          from = source + (row / height * frame_h + row % height * args.stride[0]) * frame_w * frame_pixel;
        }
        compute(from, done * height * width + first, length, panel / panels, panel % panels);
      };
      if (near) {  // all panels of a row, then the next row
        share(args.threads, rows, [&](int64_t row, int) {
          for (int64_t panel = 0; panel < all_panels; panel++) compute_row(row, panel);
        });
      } else {  // all rows with a panel, then the next panel; in bands, so that no thread is left waiting
        const int64_t bands = std::min(rows, std::max<int64_t>(1, 4 * args.threads / all_panels + 1));
        share(args.threads, all_panels * bands, [&](int64_t index, int) {
          const int64_t band = index % bands;
          for (int64_t row = rows * band / bands; row < rows * (band + 1) / bands; row++) compute_row(row, index / bands);
        });
      }
    }
    return VD_OK;
  }
};

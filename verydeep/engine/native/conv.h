// A convolution by the method that its arguments name, and which method that should be.

// Tiles of 8 x 8 inputs need the precision of 32 bits: their transforms multiply rounding errors a hundredfold.
template <class Stored, class Body> inline int64_t with_tiles(const vd_conv_args &args, const Body &body) {
  constexpr bool exact = std::is_same_v<Stored, Float32>;
  if (args.kernel[0] == 5) {
    if (args.method == VD_F2) return body(static_cast<Winograd<2, 5, Stored> *>(nullptr));
    if constexpr (exact)
      if (args.method == VD_F4) return body(static_cast<Winograd<4, 5, Stored> *>(nullptr));
    return -1;
  }
  if (args.method == VD_F2) return body(static_cast<Winograd<2, 3, Stored> *>(nullptr));
  if (args.method == VD_F4) return body(static_cast<Winograd<4, 3, Stored> *>(nullptr));
  if constexpr (exact)
    if (args.method == VD_F6) return body(static_cast<Winograd<6, 3, Stored> *>(nullptr));
  return -1;
}

template <class Stored, class Body> inline int64_t with_method(const vd_conv_args &args, const Body &body) {
  return args.method == VD_DIRECT ? body(static_cast<Direct<Stored> *>(nullptr)) : with_tiles<Stored>(args, body);
}

// Calls body with a null pointer to the class that computes these arguments; -1 where there is none.
template <class Body> inline int64_t with_class(const vd_conv_args &args, const Body &body) {
  switch (args.type) {
    case VD_FLOAT32: return with_method<Float32>(args, body);
    case VD_BFLOAT16: return with_method<Bfloat16>(args, body);
    case VD_INT16: return with_tiles<Int16>(args, body);
    case VD_INT8: return args.method == VD_DIRECT ? body(static_cast<Direct<Int8> *>(nullptr)) : -1;
    default: return -1;
  }
}

template <class Class> inline int64_t packed_elements(const Class *, int64_t c, int64_t k, const vd_conv_args &) {
  return Class::packed_elements(c, k);
}
template <class Stored> inline int64_t packed_elements(const Direct<Stored> *, int64_t c, int64_t k, const vd_conv_args &args) {
  return Direct<Stored>::packed_elements(c, k, args);
}

inline bool tileable(const vd_conv_args &args) {
  return args.kernel[0] == args.kernel[1] && (args.kernel[0] == 3 || args.kernel[0] == 5) && args.stride[0] == 1 && args.stride[1] == 1 &&
         args.dilation[0] == 1 && args.dilation[1] == 1 && args.groups == 1;
}

inline bool is_kernel(const vd_conv_args &args) {
  for (int axis = 0; axis < 2; axis++)
    if (args.kernel[axis] < 1 || args.stride[axis] < 1 || args.dilation[axis] < 1) return false;
  for (int64_t padding : args.padding)
    if (padding < 0) return false;
  return args.groups >= 1 && args.threads >= 1;
}

// Whether products of bytes can compute the shape; the same for every instruction set, and so are the sums then.
inline bool fits_bytes(int64_t c, const vd_conv_args &args) {
  return (args.groups == 1 || c / args.groups % WHOLE == 0) &&
         args.kernel[0] * args.kernel[1] * (c / args.groups) <= MOST_PRODUCTS;
}

// Whether inputs and weights are told apart by levels: with this number as the largest.
inline bool has_levels(const vd_conv_args &args) { return args.largest > TINY && args.largest - args.largest == 0; }

inline bool takes_bytes(int64_t c, const vd_conv_args &args) { return has_levels(args) && fits_bytes(c, args); }

inline int unfit(const vd_conv_args &args) {
  if (!is_kernel(args) || !is_map(args.x) || !is_map(args.y)) return VD_BAD_SHAPE;
  if (args.method != VD_DIRECT && !tileable(args)) return VD_UNSUPPORTED;
  if (args.method == VD_DIRECT && args.pool != VD_NO_POOL) return VD_UNSUPPORTED;
  if (args.add && args.pool != VD_NO_POOL) return VD_UNSUPPORTED;
  if (args.pool < VD_NO_POOL || args.pool > VD_POOL_CEIL) return VD_UNSUPPORTED;
  if (args.x.c % args.groups || args.y.c % args.groups || args.x.n != args.y.n) return VD_BAD_SHAPE;
  if (args.type == VD_INT8 && !fits_bytes(args.x.c, args)) return VD_UNSUPPORTED;
  int64_t size[2] = {args.x.h, args.x.w};
  const int64_t result[2] = {args.y.h, args.y.w};
  for (int axis = 0; axis < 2; axis++) {
    const int64_t window = args.dilation[axis] * (args.kernel[axis] - 1) + 1;
    const int64_t room = size[axis] + args.padding[2 * axis] + args.padding[2 * axis + 1] - window;
    if (room < 0) return VD_BAD_SHAPE;
    int64_t outputs = room / args.stride[axis] + 1;
    if (args.pool == VD_POOL_FLOOR) outputs /= 2;
    if (args.pool == VD_POOL_CEIL) outputs = (outputs + 1) / 2;
    if (outputs != result[axis]) return VD_BAD_SHAPE;
  }
  return VD_OK;
}

inline int unpackable(int64_t c, int64_t k, const vd_conv_args &args) {
  if (!is_kernel(args) || c < 1 || k < 1 || c % args.groups || k % args.groups) return VD_BAD_SHAPE;
  if (args.method != VD_DIRECT && !tileable(args)) return VD_UNSUPPORTED;
  return args.type == VD_INT8 && !takes_bytes(c, args) ? VD_UNSUPPORTED : VD_OK;
}

inline int64_t conv_packed_bytes(int64_t c, int64_t k, const vd_conv_args *args) {
  if (unpackable(c, k, *args) != VD_OK) return -1;
  return with_class(*args, [&](auto *method) -> int64_t {
    typedef std::remove_pointer_t<decltype(method)> Class;
    return packed_elements(static_cast<const Class *>(nullptr), c, k, *args) * int64_t(sizeof(typename Class::element));
  });
}

// False where these weights have no such form.
template <class Stored>
inline bool pack_with(const Direct<Stored> *, const float *weights, const int64_t strides[4], int64_t c, int64_t k,
                      const vd_conv_args &args, void *packed) {
  return Direct<Stored>::pack(weights, strides, c, k, args, static_cast<typename Stored::element *>(packed));
}
template <int M, int R, class Stored>
inline bool pack_with(const Winograd<M, R, Stored> *, const float *weights, const int64_t strides[4], int64_t c, int64_t k,
                      const vd_conv_args &args, void *packed) {
  Winograd<M, R, Stored>::pack(weights, strides, c, k, args.threads, static_cast<typename Stored::element *>(packed));
  return true;
}

inline int conv_pack(const float *weights, const int64_t *strides, int64_t c, int64_t k, const vd_conv_args *args,
                     void *packed) {
  const int wrong = unpackable(c, k, *args);
  if (wrong != VD_OK) return wrong;
  const int64_t done = with_class(*args, [&](auto *method) -> int64_t {
    typedef std::remove_pointer_t<decltype(method)> Class;
    return pack_with(static_cast<const Class *>(nullptr), weights, strides, c, k, *args, packed) ? VD_OK : VD_UNSUPPORTED;
  });
  return done == VD_OK ? VD_OK : VD_UNSUPPORTED;
}

template <class Stored> inline int64_t workspace_of(const Direct<Stored> *, const vd_conv_args &args) {
  return Direct<Stored>(args).workspace_size();
}
template <int M, int R, class Stored> inline int64_t workspace_of(const Winograd<M, R, Stored> *, const vd_conv_args &args) {
  return Tiling<M, R, Stored>(args).workspace_size(std::max(args.threads, 1));
}

inline int64_t conv_workspace_bytes(const vd_conv_args *args) {
  if (args->x.n == 0 || unfit(*args) != VD_OK) return 0;
  return with_class(*args, [&](auto *method) -> int64_t {
    typedef std::remove_pointer_t<decltype(method)> Class;
    return workspace_of(static_cast<const Class *>(nullptr), *args) * int64_t(sizeof(float));
  });
}

inline int conv(const vd_conv_args *args) {
  const int wrong = unfit(*args);
  if (wrong != VD_OK) return wrong;
  if (args->x.n == 0) return VD_OK;
  if (args->workspace_bytes < conv_workspace_bytes(args)) return VD_WORKSPACE_TOO_SMALL;
  const int64_t done = with_class(*args, [&](auto *method) -> int64_t {
    typedef std::remove_pointer_t<decltype(method)> Class;
    return Class(*args).run();
  });
  return done < 0 ? VD_UNSUPPORTED : static_cast<int>(done);
}

// Costs in operations of the register block: what a number costs on its way through the transforms, a byte of weights on its way
// from memory (while products are computed) and for the room it takes, a byte that threads hand each other. What matters is
// their ratio, measured on AVX-512 and on AVX2; narrower vectors are taken to be like the latter.
#if VD_AVX512
constexpr double PER_INPUT = 40, PER_OUTPUT = 25, PER_SCALED_INPUT = 80, PER_LEVEL = 20;
#else
constexpr double PER_INPUT = 60, PER_OUTPUT = 40, PER_SCALED_INPUT = 95, PER_LEVEL = 30;
#endif
constexpr double PER_BYTE = 10, PER_ROOM = 6, PER_SHARED_BYTE = 4;

// A block of few rows fetches as many weights as one of many.
inline double crowded(int64_t rows) {
  const double block = double(rows) / double(blocks_of(rows));
  return (block + WIDE) / block;
}

template <int M, int R, class Stored> inline double cost(const Winograd<M, R, Stored> *, const vd_conv_args &args) {
  const Tiling<M, R, Stored> tiling(args);
  const double points = tiling.POINTS, c = double(args.x.c), k = double(tiling.panels * PANEL), tiles = double(tiling.count);
  const double products = 2 * tiles * points * c * k * crowded(std::min(tiling.tiles, tiling.count)) / Stored::TAKES;
  const double inputs = tiles * points * double(tiling.row * Stored::TAKES) * (Stored::SCALED ? PER_SCALED_INPUT : PER_INPUT);
  const double parts = tiling.together ? std::ceil(tiles / double(tiling.tiles)) : 1;
  const double bytes = points * c * k * double(sizeof(typename Stored::element));
  const double shared = tiling.together ? tiles * points * (double(tiling.row) + k) * 4 * PER_SHARED_BYTE : 0;
  return std::max(products, bytes * parts * PER_BYTE) + bytes * PER_ROOM + inputs + tiles * points * k * PER_OUTPUT + shared;
}

template <class Stored> inline double cost(const Direct<Stored> *, const vd_conv_args &args) {
  const Direct<Stored> direct(args);
  const double taps = double(args.kernel[0] * args.kernel[1]), k = double(args.groups * direct.panels * PANEL);
  const double window = taps * double(direct.group_c);
  const double pixels = double(args.x.n) * double(direct.height) * double(direct.width);
  const int64_t together = direct.pointwise ? SEGMENT : direct.width;
  const double bytes = window * k * double(sizeof(typename Stored::element));
  const double levels = Stored::SCALED ? double(args.x.n * direct.frame_pixels() * args.x.c) * PER_LEVEL : 0;
  const double steps = taps * double(direct.group_steps);
  return std::max(2 * pixels * steps * k * crowded(together), bytes * PER_BYTE) + bytes * PER_ROOM + levels;
}

// The cheapest of the methods that this type of weights has. Integers are of 16 bits in tiles, float32 where these have none; direct
// they are of 8 where the largest input is known, and otherwise float32 it is.
inline int conv_method(const vd_conv_args *args) {
  vd_conv_args candidate = *args;
  if (!is_kernel(*args) || !is_map(args->x) || !is_map(args->y)) return VD_DIRECT;
  int best = VD_DIRECT;
  double least = INFINITY;
  const auto weigh = [&](int type) {
    candidate.type = type;
    return with_class(candidate, [&](auto *kind) -> int64_t {
      const double price = cost(static_cast<const std::remove_pointer_t<decltype(kind)> *>(nullptr), candidate);
      if (price < least) {
        least = price;
        best = candidate.method;
      }
      return 0;
    });
  };
  const bool integers = args->type == VD_INT16 || args->type == VD_INT8;
  const bool levels = args->type == VD_INT8 && takes_bytes(args->x.c, *args);
  for (int method : {VD_DIRECT, VD_F2, VD_F4, VD_F6}) {
    candidate.method = method;
    if (method == VD_DIRECT) weigh(!integers ? args->type : levels ? VD_INT8 : VD_FLOAT32);
    else if (!tileable(*args)) break;
    else if (!integers) weigh(args->type);
    else if (weigh(VD_INT16) < 0) weigh(VD_FLOAT32);
  }
  return best;
}

// Whether products of bytes gain more than the levels of their inputs cost.
inline int conv_gains_by_bytes(const vd_conv_args *args) {
  if (!is_kernel(*args) || !is_map(args->x) || !is_map(args->y) || !takes_bytes(args->x.c, *args)) return 0;
  return cost(static_cast<const Direct<Int8> *>(nullptr), *args) < cost(static_cast<const Direct<Float32> *>(nullptr), *args);
}

// All kernels, compiled for the one instruction set that VD_ISA names: this file is compiled once for each of them.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#include "table.h"
#include "threads.h"

#define VD_JOIN_(a, b) a##b
#define VD_JOIN(a, b) VD_JOIN_(a, b)
#define VD_AVX512 VD_JOIN(VD_IS_, VD_ISA) >= 512
#define VD_VNNI VD_JOIN(VD_IS_, VD_ISA) == 513
#define VD_AVX2 VD_JOIN(VD_IS_, VD_ISA) == 256
#define VD_NEON VD_JOIN(VD_IS_, VD_ISA) == 128
#define VD_IS_avx512vnni 513
#define VD_IS_avx512 512
#define VD_IS_avx2 256
#define VD_IS_neon 128
#define VD_IS_generic 0

// A name of its own for each: code that is the same in source must not be merged when the parts are linked.
namespace VD_ISA {

#include "lanes.h"

#include "multiply.h"

#include "tiles.h"

#include "winograd.h"

#include "direct.h"

#include "linear.h"

#include "maps.h"

#include "max_pool.h"

#include "conv.h"

#include "gradient.h"

}  // namespace VD_ISA

extern "C" const vd_table *VD_JOIN(vd_table_, VD_ISA)(void) {
  using namespace VD_ISA;
  static const vd_table table = {
      conv_method,
      conv_gains_by_bytes,
      conv_packed_bytes,
      conv_pack,
      conv_workspace_bytes,
      conv,
      conv_gradient_workspace_bytes,
      conv_gradient,
      [](const vd_map *x, const vd_map *y, int32_t pooling, const int64_t *kernel, const int64_t *stride,
         const int64_t *padding, int32_t threads) { return pool(*x, *y, pooling, kernel, stride, padding, threads); },
      [](const void *x, const int64_t *shape, void *y, uint8_t *indices, int32_t type, int32_t relu, int32_t threads) {
        return with_type_of_map(shape, type, threads, [&](auto bits) {
          typedef decltype(bits) Bits;
          max_pool2x2(static_cast<const Bits *>(x), shape, static_cast<Bits *>(y), indices, relu != 0, threads);
        });
      },
      [](const void *y, const uint8_t *indices, const int64_t *shape, void *x, int32_t type, int32_t threads) {
        return with_type_of_map(shape, type, threads, [&](auto bits) {
          typedef decltype(bits) Bits;
          max_pool2x2_gradient(static_cast<const Bits *>(y), indices, shape, static_cast<Bits *>(x), threads);
        });
      },
      [](const float *x, const void *weights, const float *bias, float *y, int64_t n, int64_t inputs, int64_t outputs,
         int32_t type, int32_t relu, int32_t threads) {
        const auto with = [&](auto rows, const float *units) {
          return linear(x, rows, units, bias, y, n, inputs, outputs, relu, threads);
        };
        switch (type) {
          case VD_FLOAT32: return with(static_cast<const float *>(weights), nullptr);
          case VD_BFLOAT16: return with(static_cast<const uint16_t *>(weights), nullptr);
          case VD_INT8: {
            const auto *rows = static_cast<const int8_t *>(weights);
            return with(rows, reinterpret_cast<const float *>(rows + units_offset(inputs, outputs)));
          }
          default: return static_cast<int>(VD_UNSUPPORTED);
        }
      },
      to_int8,
      [](const float *from, uint16_t *to, int64_t count, int32_t threads) {
        const int64_t piece = 1 << 16;
        share(threads, (count + piece - 1) / piece, [&](int64_t index, int) {
          for (int64_t i = index * piece; i < std::min(count, (index + 1) * piece); i++) to[i] = rounded_to_bfloat16(from[i]);
        });
      },
      [](const vd_map *x, const vd_map *y, const float *scale, const float *shift, int32_t relu, int32_t threads) {
        return affine(*x, *y, scale, shift, relu, threads);
      },
      [](const vd_map *a, const vd_map *b, const vd_map *y, int32_t relu, int32_t threads) {
        return add(*a, *b, *y, relu, threads);
      },
      [](const vd_map *x, const vd_map *y, int32_t threads) { return hyperbolic_tangent(*x, *y, threads); },
      [](const vd_map *x, const vd_map *y, int64_t size, float alpha, float beta, float k, int32_t threads) {
        return lrn(*x, *y, size, alpha, beta, k, threads);
      },
      [](const float *planes, const vd_map *y, int32_t threads) { return from_planes(planes, *y, threads); },
      [](const vd_map *x, float *planes, int32_t threads) { return to_planes(*x, planes, threads); },
  };
  return &table;
}

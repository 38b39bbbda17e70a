// The C face: each function is the one of the instruction set that runs, the best of this processor's unless told otherwise.

#include <atomic>
#include <cstring>

#include "table.h"

// VD_EACH_ISA, from the build, names the instruction sets that are compiled in, best first.
#define VD_DECLARE(isa) extern "C" const vd_table *vd_table_##isa(void);
VD_EACH_ISA(VD_DECLARE)

namespace {

// Whether this processor has an instruction set.
#if defined(__x86_64__) || defined(__i386__)
[[maybe_unused]] bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}
[[maybe_unused]] bool has_avx512vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
[[maybe_unused]] bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif
[[maybe_unused]] bool has_neon() { return true; }  // every 64-bit ARM
bool has_generic() { return true; }

struct Set {
  const char *name;
  const vd_table *(*table)();
  bool (*here)();
};

#define VD_SET(isa) {#isa, vd_table_##isa, has_##isa},
const Set SETS[] = {VD_EACH_ISA(VD_SET)};

std::atomic<const Set *> used{nullptr};

const Set &set() {
  const Set *now = used.load(std::memory_order_acquire);
  if (now) return *now;
  for (const Set &candidate : SETS)
    if (candidate.here()) {
      used.store(&candidate, std::memory_order_release);
      return candidate;
    }
  return SETS[sizeof SETS / sizeof *SETS - 1];
}

const vd_table &table() { return *set().table(); }

const Set *find(const char *name) {
  for (const Set &candidate : SETS)
    if (std::strcmp(candidate.name, name) == 0) return &candidate;
  return nullptr;
}

}  // namespace

extern "C" {

const char *vd_isa(void) { return set().name; }

const char *vd_isas(void) {
#define VD_NAME(isa) #isa " "
  return VD_EACH_ISA(VD_NAME);
}

int vd_isa_runs_here(const char *name) {
  const Set *found = find(name);
  return found && found->here();
}

int vd_use_isa(const char *name) {
  const Set *found = find(name);
  if (!found || !found->here()) return VD_UNSUPPORTED;
  used.store(found, std::memory_order_release);
  return VD_OK;
}

int vd_conv_method(const vd_conv_args *args) { return table().conv_method(args); }
int vd_conv_gains_by_bytes(const vd_conv_args *args) { return table().conv_gains_by_bytes(args); }
int64_t vd_conv_packed_bytes(int64_t c, int64_t k, const vd_conv_args *args) {
  return table().conv_packed_bytes(c, k, args);
}
int vd_conv_pack(const float *weights, int64_t c, int64_t k, const vd_conv_args *args, void *packed) {
  if (args->groups < 1) return VD_BAD_SHAPE;
  const int64_t row = args->kernel[1], filter = args->kernel[0] * row;
  const int64_t strides[4] = {c / args->groups * filter, filter, row, 1};
  return table().conv_pack(weights, strides, c, k, args, packed);
}
int vd_conv_pack_strided(const float *weights, const int64_t strides[4], int64_t c, int64_t k, const vd_conv_args *args,
                         void *packed) {
  return table().conv_pack(weights, strides, c, k, args, packed);
}
int64_t vd_conv_workspace_bytes(const vd_conv_args *args) { return table().conv_workspace_bytes(args); }
int vd_conv(const vd_conv_args *args) { return table().conv(args); }

int64_t vd_conv_gradient_workspace_bytes(const vd_conv_args *args) { return table().conv_gradient_workspace_bytes(args); }
int vd_conv_gradient(const vd_conv_args *args, float *gradient, const int64_t strides[4]) {
  return table().conv_gradient(args, gradient, strides);
}

int vd_pool(const vd_map *x, const vd_map *y, int32_t pooling, const int64_t kernel[2], const int64_t stride[2],
                      const int64_t padding_top_left[2], int32_t threads) {
  return table().pool(x, y, pooling, kernel, stride, padding_top_left, threads);
}
int vd_max_pool2x2(const void *x, const int64_t shape[4], void *y, uint8_t *indices, int32_t type, int32_t relu, int32_t threads) {
  return table().max_pool2x2(x, shape, y, indices, type, relu, threads);
}
int vd_max_pool2x2_gradient(const void *y, const uint8_t *indices, const int64_t shape[4], void *x, int32_t type, int32_t threads) {
  return table().max_pool2x2_gradient(y, indices, shape, x, type, threads);
}
int vd_linear(const float *x, const void *weights, const float *bias, float *y, int64_t n, int64_t inputs,
                        int64_t outputs, int32_t type, int32_t relu, int32_t threads) {
  return table().linear(x, weights, bias, y, n, inputs, outputs, type, relu, threads);
}
void vd_to_int8(const float *from, int8_t *to, int64_t inputs, int64_t outputs, int32_t threads) {
  table().to_int8(from, to, inputs, outputs, threads);
}
int64_t vd_int8_bytes(int64_t inputs, int64_t outputs) {
  return (inputs * outputs + 3) / 4 * 4 + outputs * int64_t(sizeof(float));
}
void vd_to_bfloat16(const float *from, uint16_t *to, int64_t count, int32_t threads) {
  table().to_bfloat16(from, to, count, threads);
}
int vd_affine(const vd_map *x, const vd_map *y, const float *scale, const float *shift, int32_t relu,
                        int32_t threads) {
  return table().affine(x, y, scale, shift, relu, threads);
}
int vd_add(const vd_map *a, const vd_map *b, const vd_map *y, int32_t relu, int32_t threads) {
  return table().add(a, b, y, relu, threads);
}
int vd_tanh(const vd_map *x, const vd_map *y, int32_t threads) { return table().tanh(x, y, threads); }
int vd_lrn(const vd_map *x, const vd_map *y, int64_t size, float alpha, float beta, float k, int32_t threads) {
  return table().lrn(x, y, size, alpha, beta, k, threads);
}
int vd_from_planes(const float *planes, const vd_map *y, int32_t threads) {
  return table().from_planes(planes, y, threads);
}
int vd_to_planes(const vd_map *x, float *planes, int32_t threads) { return table().to_planes(x, planes, threads); }

}

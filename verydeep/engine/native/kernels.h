/* The plain C face of the kernels: maps in channels-last memory, one function for each step of a network.
 *
 * Nothing here allocates, throws, or knows Python or PyTorch. A function returns VD_OK or the reason why it did nothing.
 * Every result is the same to the bit whatever the number of threads, and whatever else is in the batch.
 */
#ifndef VERYDEEP_KERNELS_H
#define VERYDEEP_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum { VD_OK = 0, VD_UNSUPPORTED = 1, VD_WORKSPACE_TOO_SMALL = 2, VD_BAD_SHAPE = 3 };
/* How packed weights are stored. Maps are float32 always, and so are sums, but for integers, which are summed exactly.
 * VD_INT16, with Winograd only: inputs and weights of the transformed domain, with a unit for each tile and each output channel.
 * VD_INT8, of linear layers: the weights, with a unit for each row, and sums of float32. Of direct convolutions: weights of -127 to
 * 127 with a unit for each output channel, and inputs rounded to 0 .. 255 units, where 255 are `largest`: what is below 0 or above
 * that is cut off, and an infinity or a NaN makes the outputs that see its pixel NaN. */
enum { VD_FLOAT32 = 0, VD_BFLOAT16 = 1, VD_INT16 = 2, VD_INT8 = 3 };
enum { VD_DIRECT = 0, VD_F2 = 2, VD_F4 = 4, VD_F6 = 6 }; /* Winograd's F(m x m, r x r) computes m x m outputs at a time */
enum { VD_NO_POOL = 0, VD_POOL_FLOOR = 1, VD_POOL_CEIL = 2 };
enum { VD_MAX = 0, VD_MEAN = 1 };

/* Images of h x w pixels of c channels each. `pixel` is the distance from a pixel to the next one, in floats: more than
 * c where the map is a part of a wider one. Rows and images follow each other without a gap. */
typedef struct {
  float *data;
  int64_t n, h, w, c, pixel;
} vd_map;

typedef struct {
  vd_map x, y;              /* y is what remains after pooling */
  const void *weights;      /* as vd_conv_pack wrote them for this method and type */
  const float *bias;        /* one for each channel of y, or NULL */
  const float *add;         /* a map of y's shape before pooling, added before the ReLU, or NULL; not with pooling */
  int64_t add_pixel;        /* floats from a pixel of `add` to the next */
  int64_t kernel[2], stride[2], dilation[2]; /* vertical, horizontal */
  int64_t padding[4];       /* zeros: top, bottom, left, right */
  int64_t groups;
  int32_t method;           /* VD_DIRECT; for stride 1, dilation 1 and one group VD_F2 and VD_F4 of 3x3, VD_F2 of 5x5, and
                             * with VD_FLOAT32 only VD_F6 of 3x3, VD_F4 of 5x5 */
  int32_t type;             /* of the packed weights */
  int32_t relu;             /* 1: max(y, 0) */
  int32_t pool;             /* with Winograd only: the maximum of 2x2 windows, after the ReLU */
  void *workspace;          /* 64-byte aligned */
  int64_t workspace_bytes;
  int32_t threads;
  float largest;            /* input that is told apart, with VD_INT8; read when weights are packed and methods compared */
} vd_conv_args;

/* The instruction set that runs: "avx512", "avx2", "neon" or "generic". */
const char *vd_isa(void);
/* Those compiled in, a space after each, best first; and whether this processor has one of them. */
const char *vd_isas(void);
int vd_isa_runs_here(const char *name);
/* Use this one from now on; VD_UNSUPPORTED if it is not compiled in or the processor lacks it. Packed weights must be packed anew. */
int vd_use_isa(const char *name);

/* Compute on the threads of an OpenMP runtime from now on, given its GOMP_parallel; NULL: on threads of our own, as at first.
 * Those of another runtime that has just worked keep a processor busy for a while, waiting for more. */
void vd_share_with(void (*parallel)(void (*)(void *), void *, unsigned, unsigned));

/* The fastest method for a convolution of these shapes, threads and type of weights (x, y, kernel ... are read; pointers are
 * not). With pooling asked for it may be VD_DIRECT all the same: then the pool is a step of its own. With VD_INT8 the weights of
 * the direct method are to be of this type, and those of Winograd's VD_INT16; with either, float32 where there is no such form. */
int vd_conv_method(const vd_conv_args *args);
/* Whether the direct method is faster with VD_INT8 than with VD_FLOAT32. */
int vd_conv_gains_by_bytes(const vd_conv_args *args);
/* Bytes that packed weights need: for c channels of x and k of y, all groups together. */
int64_t vd_conv_packed_bytes(int64_t c, int64_t k, const vd_conv_args *args);
/* Rewrite weights (k, c / groups, kernel[0], kernel[1]) for args->method and args->type. */
int vd_conv_pack(const float *weights, int64_t c, int64_t k, const vd_conv_args *args, void *packed);
/* The same for weights in any order: floats from an output, a channel of its input, a row and a column of the kernel to the
 * next. Strides may be negative. */
int vd_conv_pack_strided(const float *weights, const int64_t strides[4], int64_t c, int64_t k, const vd_conv_args *args,
                         void *packed);
/* Bytes of workspace that a call of vd_conv needs. */
int64_t vd_conv_workspace_bytes(const vd_conv_args *args);
int vd_conv(const vd_conv_args *args);

/* The gradient of a 3x3 convolution by its weights: over all images and pixels the sum of y, which holds the gradient of the
 * convolution's outputs, times what the weight was multiplied with; zeros without images. Of `args` the maps, kernel, padding,
 * workspace and threads count, with VD_F2 or VD_F4 and VD_FLOAT32, without pooling. Strides as in vd_conv_pack_strided. An infinity
 * or a NaN in a map makes NaNs. Refused as by vd_conv. */
int vd_conv_gradient(const vd_conv_args *args, float *gradient, const int64_t strides[4]);
/* Bytes of workspace for it; -1 where there is no such gradient. */
int64_t vd_conv_gradient_workspace_bytes(const vd_conv_args *args);

/* A pool; y's sizes say how many windows there are, the padding never counts. */
int vd_pool(const vd_map *x, const vd_map *y, int32_t pooling, const int64_t kernel[2], const int64_t stride[2],
            const int64_t padding_top_left[2], int32_t threads);
/* In training: y (n, h / 2, w / 2, c), the maxima of x's 2x2 windows, stride 2, without a last odd row or column; relu: then
 * max(y, 0). Maps in one piece, of VD_FLOAT32 or VD_BFLOAT16 (the numbers themselves), `shape` (n, h, w, c) of x. A NaN is the
 * largest. `indices`, a byte for each number of y, says where in its window the maximum lies: 0 and 1 above, 2 and 3 below, 4
 * nowhere, where the ReLU lets no gradient through; by them the gradient of y finds its way back to x, where all else becomes 0.
 * VD_BAD_SHAPE where no window has a place, VD_UNSUPPORTED of another type. */
int vd_max_pool2x2(const void *x, const int64_t shape[4], void *y, uint8_t *indices, int32_t type, int32_t relu, int32_t threads);
int vd_max_pool2x2_gradient(const void *y, const uint8_t *indices, const int64_t shape[4], void *x, int32_t type, int32_t threads);
/* y = x weights^T + bias, x (n, inputs), weights (outputs, inputs) of any type but VD_INT16, y (n, outputs). */
int vd_linear(const float *x, const void *weights, const float *bias, float *y, int64_t n, int64_t inputs,
              int64_t outputs, int32_t type, int32_t relu, int32_t threads);
/* Rows of int8 with the unit of each behind them (its largest magnitude is 127 units); the bytes that this takes. */
void vd_to_int8(const float *from, int8_t *to, int64_t inputs, int64_t outputs, int32_t threads);
int64_t vd_int8_bytes(int64_t inputs, int64_t outputs);
/* Round float32 to bfloat16, ties to even. */
void vd_to_bfloat16(const float *from, uint16_t *to, int64_t count, int32_t threads);
/* y = max(x * scale + shift, 0 if relu), for each channel; scale or shift may be NULL (1, 0). In place if y is x. */
int vd_affine(const vd_map *x, const vd_map *y, const float *scale, const float *shift, int32_t relu, int32_t threads);
/* y = a + b, then the ReLU if asked for. */
int vd_add(const vd_map *a, const vd_map *b, const vd_map *y, int32_t relu, int32_t threads);
int vd_tanh(const vd_map *x, const vd_map *y, int32_t threads);
/* x / (k + alpha * sum of the squares of `size` neighbouring channels) ** beta */
int vd_lrn(const vd_map *x, const vd_map *y, int64_t size, float alpha, float beta, float k, int32_t threads);
/* (n, c, h, w) in one piece, written to a channels-last map; and the way back (Flatten's order). */
int vd_from_planes(const float *planes, const vd_map *y, int32_t threads);
int vd_to_planes(const vd_map *x, float *planes, int32_t threads);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

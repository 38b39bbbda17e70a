// What one instruction set offers: the functions of kernels.h, compiled for it.
#ifndef VERYDEEP_TABLE_H
#define VERYDEEP_TABLE_H

#include "kernels.h"

struct vd_table {
  int (*conv_method)(const vd_conv_args *);
  int (*conv_gains_by_bytes)(const vd_conv_args *);
  int64_t (*conv_packed_bytes)(int64_t, int64_t, const vd_conv_args *);
  int (*conv_pack)(const float *, const int64_t *, int64_t, int64_t, const vd_conv_args *, void *);
  int64_t (*conv_workspace_bytes)(const vd_conv_args *);
  int (*conv)(const vd_conv_args *);
  int64_t (*conv_gradient_workspace_bytes)(const vd_conv_args *);
  int (*conv_gradient)(const vd_conv_args *, float *, const int64_t *);
  int (*pool)(const vd_map *, const vd_map *, int32_t, const int64_t *, const int64_t *, const int64_t *, int32_t);
  int (*max_pool2x2)(const void *, const int64_t *, void *, uint8_t *, int32_t, int32_t, int32_t);
  int (*max_pool2x2_gradient)(const void *, const uint8_t *, const int64_t *, void *, int32_t, int32_t);
  int (*linear)(const float *, const void *, const float *, float *, int64_t, int64_t, int64_t, int32_t, int32_t, int32_t);
  void (*to_int8)(const float *, int8_t *, int64_t, int64_t, int32_t);
  void (*to_bfloat16)(const float *, uint16_t *, int64_t, int32_t);
  int (*affine)(const vd_map *, const vd_map *, const float *, const float *, int32_t, int32_t);
  int (*add)(const vd_map *, const vd_map *, const vd_map *, int32_t, int32_t);
  int (*tanh)(const vd_map *, const vd_map *, int32_t);
  int (*lrn)(const vd_map *, const vd_map *, int64_t, float, float, float, int32_t);
  int (*from_planes)(const float *, const vd_map *, int32_t);
  int (*to_planes)(const vd_map *, float *, int32_t);
};

#endif

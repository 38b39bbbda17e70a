// The AVX-512 instructions that the kernels name, in C: so that this source runs on a processor without them. The vectors
// themselves are GCC's, which are computed in halves there.

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace in_c {

template <class To, class From> inline To as(From from) {
  To to;
  static_assert(sizeof to == sizeof from, "of one size");
  std::memcpy(&to, &from, sizeof to);
  return to;
}

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Words __attribute__((vector_size(64)));
typedef int16_t Shorts __attribute__((vector_size(64)));
typedef int8_t Bytes __attribute__((vector_size(64)));
typedef uint8_t Naturals __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));
typedef int8_t Quarters __attribute__((vector_size(16)));

inline __m512 maskz_loadu_ps(unsigned mask, const float *from) {
  Floats value = {};
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) value[i] = from[i];
  return as<__m512>(value);
}

inline void mask_storeu_ps(float *to, unsigned mask, __m512 value) {
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) to[i] = as<Floats>(value)[i];
}

inline __m512i cvtps_epi32(__m512 value) {
  Words out;
  for (int i = 0; i < 16; i++) out[i] = _mm_cvtss_si32(_mm_set_ss(as<Floats>(value)[i]));
  return as<__m512i>(out);
}

inline __m512 cvtepi32_ps(__m512i value) { return as<__m512>(__builtin_convertvector(as<Words>(value), Floats)); }
inline __m512i cvtepu16_epi32(__m256i value) { return as<__m512i>(__builtin_convertvector(as<Halves>(value), Words)); }
inline __m512i cvtepi8_epi32(__m128i value) { return as<__m512i>(__builtin_convertvector(as<Quarters>(value), Words)); }
inline __m512i slli_epi32(__m512i value, int by) { return as<__m512i>(as<Words>(value) << by); }

inline unsigned cmp_unordered(__m512 a, __m512 b) {
  unsigned mask = 0;
  for (int i = 0; i < 16; i++)
    if (std::isnan(as<Floats>(a)[i]) || std::isnan(as<Floats>(b)[i])) mask |= 1u << i;
  return mask;
}

inline __m512i madd_epi16(__m512i a, __m512i b) {
  Words out = {};
  for (int i = 0; i < 32; i++) out[i / 2] += as<Shorts>(a)[i] * as<Shorts>(b)[i];
  return as<__m512i>(out);
}

inline __m512i dpwssd_epi32(__m512i sums, __m512i a, __m512i b) { return as<__m512i>(as<Words>(sums) + as<Words>(madd_epi16(a, b))); }

inline __m512i dpbusd_epi32(__m512i sums, __m512i a, __m512i b) {
  Words out = as<Words>(sums);
  for (int i = 0; i < 64; i++) out[i / 4] += as<Naturals>(a)[i] * as<Bytes>(b)[i];
  return as<__m512i>(out);
}

}  // namespace in_c

#define _mm512_maskz_loadu_ps in_c::maskz_loadu_ps
#define _mm512_mask_storeu_ps in_c::mask_storeu_ps
#define _mm512_cvtps_epi32 in_c::cvtps_epi32
#define _mm512_cvtepi32_ps in_c::cvtepi32_ps
#define _mm512_cvtepu16_epi32 in_c::cvtepu16_epi32
#define _mm512_cvtepi8_epi32 in_c::cvtepi8_epi32
#undef _mm512_slli_epi32
#define _mm512_slli_epi32 in_c::slli_epi32
#undef _mm512_cmp_ps_mask
#define _mm512_cmp_ps_mask(a, b, unordered) in_c::cmp_unordered(a, b)
#define _mm512_madd_epi16 in_c::madd_epi16
#define _mm512_dpwssd_epi32 in_c::dpwssd_epi32
#define _mm512_dpbusd_epi32 in_c::dpbusd_epi32

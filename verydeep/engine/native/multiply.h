// The one inner product of all convolutions: a register block of rows times a panel of PANEL output channels.

// How numbers are stored and multiplied: `Input` is what a step of depth reads of a row, `element` what it reads of a panel
// for each of its channels, TAKES how many channels of the input a step takes; SCALED numbers are integers of their own unit.
struct Float32 {
  typedef float element;
  typedef float Input;
  typedef lanes Sums;
  static constexpr int TAKES = 1;
  static constexpr bool SCALED = false;
  static inline void fetch(const float *from, lanes (&wide)[WIDE]) {
    for (int v = 0; v < WIDE; v++) wide[v] = load(from + v * LANES);
  }
  static inline lanes repeat(float input) { return all(input); }
  static inline lanes multiply_add(lanes sums, lanes input, lanes weights) { return sums + input * weights; }
  static int64_t place(int64_t row, int column) { return row * PANEL + column; }
  static float encode(float value) { return value; }
  static float decode(float value) { return value; }
};

// Weights of 16 bits, sums of 32: half of the memory, the same arithmetic.
struct Bfloat16 {
  typedef uint16_t element;
  typedef float Input;
  typedef lanes Sums;
  static constexpr int TAKES = 1;
  static constexpr bool SCALED = false;
  static inline void fetch(const uint16_t *from, lanes (&wide)[WIDE]) {
    for (int v = 0; v < WIDE; v += 2) {
      words pair = load_words(from + v * LANES);
      wide[v] = low_half(pair);
      wide[v + 1] = high_half(pair);
    }
  }
  static inline lanes repeat(float input) { return all(input); }
  static inline lanes multiply_add(lanes sums, lanes input, lanes weights) { return sums + input * weights; }
  static int64_t place(int64_t row, int column) {
    const int vector = column / LANES, lane = column % LANES;
    return row * PANEL + (vector / 2 * LANES + lane) * 2 + vector % 2;
  }
  static uint16_t encode(float value) { return rounded_to_bfloat16(value); }
  static float decode(uint16_t value) { return from_bfloat16(value); }
};

// Integers, as many in a step of depth as 32 bits hold, and their exact sums of 32 bits: several products for the price of one.
template <class Element> struct Integers {
  typedef Element element;
  typedef int32_t Input __attribute__((may_alias));  // what was stored as TAKES numbers
  typedef integers Sums;
  static constexpr int TAKES = 4 / sizeof(Element);
  static constexpr bool SCALED = true;
  static inline void fetch(const element *from, integers (&wide)[WIDE]) {
    for (int v = 0; v < WIDE; v++) wide[v] = load_integers(from + v * LANES * TAKES);
  }
  static inline integers repeat(int32_t several) { return several - integers{}; }
  static inline integers multiply_add(integers sums, integers input, integers weights) {
#if VD_VNNI
    if (TAKES == 4) return add_products_of_fours(sums, input, weights);
#endif
    return add_products_of_pairs(sums, input, weights);
  }
  static int64_t place(int64_t row, int column) { return (row / TAKES * PANEL + column) * TAKES + row % TAKES; }
  static element encode(float value) { return static_cast<element>(std::lrintf(value)); }
  static float decode(element value) { return value; }
};

typedef Integers<int16_t> Int16;

// Inputs of 0 .. 255 and weights of -127 .. 127. A processor without products of bytes takes the same numbers as pairs of 16 bits.
#if VD_VNNI
typedef Integers<int8_t> Int8;
typedef uint8_t Level;
#else
typedef Int16 Int8;
typedef int16_t Level;
#endif

// What a step of depth reads of a panel.
template <class Stored> constexpr int64_t bytes_of_a_step() {
  return PANEL * Stored::TAKES * int64_t(sizeof(typename Stored::element));
}

// block[row] += sum over d of a[row * step + d] * panel[d], for ROWS rows and `depth` steps. Meanwhile as much memory as a step
// reads, from `ahead` on and `stride` bytes further at each step, is called to the second cache.
template <class Stored, int ROWS>
static inline __attribute__((always_inline)) void accumulate(typename Stored::Sums (&block)[ROWS][WIDE],
                                                             const typename Stored::Input *a, int64_t step,
                                                             const typename Stored::element *panel, int64_t depth,
                                                             const void *ahead, int64_t stride) {
  constexpr int GROUPS = (ROWS + 2) / 3;  // three rows share a pointer: a, a + step, a + 2 * step are one address each
  const typename Stored::Input *row[GROUPS];
  for (int g = 0; g < GROUPS; g++) row[g] = a + 3 * g * step;
  for (int64_t d = 0; d < depth; d++) {
    typename Stored::Sums wide[WIDE];
    Stored::fetch(panel + d * PANEL * Stored::TAKES, wide);
    for (int64_t line = 0; line < bytes_of_a_step<Stored>(); line += 64)
      __builtin_prefetch(static_cast<const char *>(ahead) + d * stride + line, 0, 2);
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++) {
      const typename Stored::Sums one = Stored::repeat(row[r / 3][(r % 3) * step + d]);
#pragma GCC unroll 4
      for (int v = 0; v < WIDE; v++) block[r][v] = Stored::multiply_add(block[r][v], one, wide[v]);
    }
  }
}

// Rows are taken in near-equal blocks of at most TALL: 16 as 8 + 8, not as 14 + 2.
inline int64_t blocks_of(int64_t rows) { return (rows + TALL - 1) / TALL; }
inline int64_t block_start(int64_t rows, int64_t block) { return rows * block / blocks_of(rows); }

// Calls `body` with the number of rows as a compile-time constant.
template <int ROWS = TALL, class Body>
static inline __attribute__((always_inline)) void with_rows(int64_t rows, const Body &body) {
  if constexpr (ROWS >= 1) {
    if (rows == ROWS) body(std::integral_constant<int, ROWS>{});
    else with_rows<ROWS - 1>(rows, body);
  }
}

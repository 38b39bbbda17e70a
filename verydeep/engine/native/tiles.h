// Winograd's minimal filtering F(m x m, r x r): the three transforms (Lavin and Gray, arXiv:1509.09308).
//
// A tile of (m + r - 1)^2 inputs gives m^2 outputs by (m + r - 1)^2 products, where the direct form needs r^2 m^2:
// Y = A^T [(G g G^T) * (B^T d B)] A. Filters and inputs are evaluated at points, the last of which is infinity, and the outputs
// are interpolated; so tiles of one size have the same points and the same B, whatever the filter.

// One dimension of tiles of SIDE inputs: POINT; SCALE, by which filters are multiplied at each; inputs and outputs, the first M of
// them; and `gradients`, the way back of the outputs of 3x3 filters: A in place of A^T. `X` is a vector of channels.
template <int SIDE> struct Points;

template <> struct Points<4> {
  static constexpr double POINT[3] = {0, 1, -1}, SCALE[3] = {1, 0.5, 0.5};

  template <class X> static inline void inputs(const X (&d)[4], X (&v)[4]) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
  }
  template <int M, class X> static inline void outputs(const X (&m)[4], X (&y)[M]) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2];
    y[M - 1] += m[3];
  }
  template <class X> static inline void gradients(const X (&y)[2], X (&t)[4]) {
    t[0] = y[0];
    t[1] = y[0] + y[1];
    t[2] = y[0] - y[1];
    t[3] = y[1];
  }
};

template <> struct Points<6> {
  // A fifth of the largest error of the usual 0, +-1, +-2 for the same work.
  static constexpr double ROOT = 1.41421356237309504880;
  static constexpr double POINT[5] = {0, ROOT / 2, -ROOT / 2, ROOT, -ROOT};
  static constexpr double SCALE[5] = {1, -2.0 / 3, -2.0 / 3, 1.0 / 3, 1.0 / 3};

  template <class X> static inline void inputs(const X (&d)[6], X (&v)[6]) {
    constexpr float root = ROOT;
    const X even1 = d[4] - 2.0f * d[2], odd1 = (root / 2) * d[3] - root * d[1];
    const X even2 = d[4] - 0.5f * d[2], odd2 = root * d[3] - (root / 2) * d[1];
    v[0] = d[0] - 2.5f * d[2] + d[4];
    v[1] = even1 + odd1;
    v[2] = even1 - odd1;
    v[3] = even2 + odd2;
    v[4] = even2 - odd2;
    v[5] = d[1] - 2.5f * d[3] + d[5];
  }
  template <int M, class X> static inline void outputs(const X (&m)[6], X (&y)[M]) {
    constexpr float root = ROOT;
    const X even1 = m[1] + m[2], odd1 = m[1] - m[2], even2 = m[3] + m[4], odd2 = m[3] - m[4];
    y[0] = m[0] + even1 + 0.5f * even2;
    y[1] = (root / 2) * (odd1 + odd2);
    if constexpr (M > 2) y[2] = 0.5f * even1 + even2;
    if constexpr (M > 3) y[3] = (root / 4) * odd1 + root * odd2;
    y[M - 1] += m[5];
  }
  template <class X> static inline void gradients(const X (&y)[4], X (&t)[6]) {
    constexpr float root = ROOT;
    const X even1 = y[0] + 0.5f * y[2], odd1 = (root / 2) * y[1] + (root / 4) * y[3];
    const X even2 = 0.5f * y[0] + y[2], odd2 = (root / 2) * y[1] + root * y[3];
    t[0] = y[0];
    t[1] = even1 + odd1;
    t[2] = even1 - odd1;
    t[3] = even2 + odd2;
    t[4] = even2 - odd2;
    t[5] = y[3];
  }
};

template <> struct Points<8> {
  static constexpr double POINT[7] = {0, 1, -1, 2, -2, 0.5, -0.5};
  static constexpr double SCALE[7] = {1, -2.0 / 9, -2.0 / 9, 1.0 / 90, 1.0 / 90, 32.0 / 45, 32.0 / 45};

  template <class X> static inline void inputs(const X (&d)[8], X (&v)[8]) {
    const X even1 = d[2] - 4.25f * d[4] + d[6], odd1 = d[1] - 4.25f * d[3] + d[5];
    const X even2 = d[6] + 0.25f * d[2] - 1.25f * d[4], odd2 = 0.5f * d[1] - 2.5f * d[3] + 2.0f * d[5];
    const X even3 = d[6] + 4.0f * d[2] - 5.0f * d[4], odd3 = 2.0f * d[1] - 2.5f * d[3] + 0.5f * d[5];
    v[0] = d[0] - d[6] + 5.25f * (d[4] - d[2]);
    v[1] = even1 + odd1;
    v[2] = even1 - odd1;
    v[3] = even2 + odd2;
    v[4] = even2 - odd2;
    v[5] = even3 + odd3;
    v[6] = even3 - odd3;
    v[7] = d[7] - d[1] + 5.25f * (d[3] - d[5]);
  }
  template <int M, class X> static inline void outputs(const X (&m)[8], X (&y)[M]) {
    const X even1 = m[1] + m[2], odd1 = m[1] - m[2], even2 = m[3] + m[4], odd2 = m[3] - m[4];
    const X even3 = m[5] + m[6], odd3 = m[5] - m[6];
    y[0] = m[0] + even1 + even2 + even3;
    y[1] = odd1 + 2.0f * odd2 + 0.5f * odd3;
    if constexpr (M > 2) y[2] = even1 + 4.0f * even2 + 0.25f * even3;
    if constexpr (M > 3) y[3] = odd1 + 8.0f * odd2 + 0.125f * odd3;
    if constexpr (M > 4) y[4] = even1 + 16.0f * even2 + 0.0625f * even3;
    if constexpr (M > 5) y[5] = odd1 + 32.0f * odd2 + 0.03125f * odd3;
    y[M - 1] += m[7];
  }
};

// G: what the filter's tap counts for at a point.
template <int SIDE, int R> constexpr double share_of(int point, int tap) {
  if (point == SIDE - 1) return tap == R - 1;
  double power = Points<SIDE>::SCALE[point];
  for (int i = 0; i < tap; i++) power *= Points<SIDE>::POINT[point];
  return power;
}

// G g G^T of filters, one in each lane, in double precision.
typedef double exact_lanes __attribute__((vector_size(8 * LANES)));

template <int SIDE, int R> inline void transform_filters(const exact_lanes (&g)[R][R], exact_lanes (&u)[SIDE][SIDE]) {
  exact_lanes half[SIDE][R] = {};
  for (int i = 0; i < SIDE; i++)
    for (int s = 0; s < R; s++)
      for (int r = 0; r < R; r++) half[i][s] += share_of<SIDE, R>(i, r) * g[r][s];
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++) {
      u[i][j] = exact_lanes{};
      for (int s = 0; s < R; s++) u[i][j] += share_of<SIDE, R>(j, s) * half[i][s];
    }
}

// The way back: the filter is a combination of few of its transform's values, g = L u L^T. Points 0 and infinity give the outer
// taps by themselves. Of a pair of points, half the difference holds the odd taps, half the sum the even ones: one pair tells the
// only odd tap of three, two pairs tell both of five.
template <int SIDE, int R> inline double recover(int tap, int point) {
  typedef Points<SIDE> At;
  static_assert(R == 3 || R == 5, "one or two pairs of points are needed");
  if (tap == 0) return point == 0 ? 1 / At::SCALE[0] : 0;
  if (tap == R - 1) return point == SIDE - 1;
  const double a = At::POINT[1];
  const auto odd = [&](int pair) {  // the coefficient of `point` in half the difference of a pair
    const double half = 0.5 / At::SCALE[pair];
    return point == pair ? half : point == pair + 1 ? -half : 0.0;
  };
  if constexpr (R == 3) {
    return odd(1) / a;
  } else {
    const double b = At::POINT[3], determinant = a * b * b * b - a * a * a * b;
    if (tap == 1) return (b * b * b * odd(1) - a * a * a * odd(3)) / determinant;
    if (tap == 3) return (a * odd(3) - b * odd(1)) / determinant;
    const double even = point == 1 || point == 2 ? 0.5 / At::SCALE[1] : 0;
    const double outer = point == 0 ? 1 / At::SCALE[0] : point == SIDE - 1 ? a * a * a * a : 0;
    return (even - outer) / (a * a);
  }
}

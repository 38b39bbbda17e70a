// Winograd's minimal filtering F(m x m, 3 x 3): the three transforms (Lavin and Gray, arXiv:1509.09308).
//
// A tile of (m + 2)^2 inputs gives m^2 outputs by (m + 2)^2 products, where the direct form needs 9 m^2:
// Y = A^T [(G g G^T) * (B^T d B)] A. Interpolation points are 0, 1, -1 and infinity for F(2),
// with 2, -2, 1/2, -1/2 for F(6); those of F(4) are below.

// One dimension of each transform for m outputs; `X` is a vector of channels, or a double when weights are prepared.
template <int M> struct Minimal;

template <> struct Minimal<2> {
  static constexpr int SIDE = 4;
  static constexpr double FILTER[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};

  template <class X> static inline void inputs(const X (&d)[4], X (&v)[4]) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
  }
  template <class X> static inline void outputs(const X (&m)[4], X (&y)[2]) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] + m[3];
  }
};

template <> struct Minimal<4> {
  static constexpr int SIDE = 6;
  // Points 0, +-1/sqrt(2), +-sqrt(2), infinity: a fifth of the largest error of the usual 0, +-1, +-2 for the same work.
  static constexpr double ROOT = 1.41421356237309504880;
  static constexpr double FILTER[6][3] = {{1, 0, 0},
                                          {-2.0 / 3, -ROOT / 3, -1.0 / 3},
                                          {-2.0 / 3, ROOT / 3, -1.0 / 3},
                                          {1.0 / 3, ROOT / 3, 2.0 / 3},
                                          {1.0 / 3, -ROOT / 3, 2.0 / 3},
                                          {0, 0, 1}};

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
  template <class X> static inline void outputs(const X (&m)[6], X (&y)[4]) {
    constexpr float root = ROOT;
    const X even1 = m[1] + m[2], odd1 = m[1] - m[2], even2 = m[3] + m[4], odd2 = m[3] - m[4];
    y[0] = m[0] + even1 + 0.5f * even2;
    y[1] = (root / 2) * (odd1 + odd2);
    y[2] = 0.5f * even1 + even2;
    y[3] = (root / 4) * odd1 + root * odd2 + m[5];
  }
};

template <> struct Minimal<6> {
  static constexpr int SIDE = 8;
  static constexpr double FILTER[8][3] = {{1, 0, 0},
                                          {-2.0 / 9, -2.0 / 9, -2.0 / 9},
                                          {-2.0 / 9, 2.0 / 9, -2.0 / 9},
                                          {1.0 / 90, 1.0 / 45, 2.0 / 45},
                                          {1.0 / 90, -1.0 / 45, 2.0 / 45},
                                          {32.0 / 45, 16.0 / 45, 8.0 / 45},
                                          {32.0 / 45, -16.0 / 45, 8.0 / 45},
                                          {0, 0, 1}};

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
  template <class X> static inline void outputs(const X (&m)[8], X (&y)[6]) {
    const X even1 = m[1] + m[2], odd1 = m[1] - m[2], even2 = m[3] + m[4], odd2 = m[3] - m[4];
    const X even3 = m[5] + m[6], odd3 = m[5] - m[6];
    y[0] = m[0] + even1 + even2 + even3;
    y[1] = odd1 + 2.0f * odd2 + 0.5f * odd3;
    y[2] = even1 + 4.0f * even2 + 0.25f * even3;
    y[3] = odd1 + 8.0f * odd2 + 0.125f * odd3;
    y[4] = even1 + 16.0f * even2 + 0.0625f * even3;
    y[5] = odd1 + 32.0f * odd2 + 0.03125f * odd3 + m[7];
  }
};

// G g G^T of 3x3 filters, one in each lane, in double precision.
typedef double exact_lanes __attribute__((vector_size(8 * LANES)));

template <int M>
inline void transform_filters(const exact_lanes (&g)[3][3], exact_lanes (&u)[Minimal<M>::SIDE][Minimal<M>::SIDE]) {
  constexpr int SIDE = Minimal<M>::SIDE;
  exact_lanes half[SIDE][3];
  for (int i = 0; i < SIDE; i++)
    for (int s = 0; s < 3; s++)
      half[i][s] = Minimal<M>::FILTER[i][0] * g[0][s] + Minimal<M>::FILTER[i][1] * g[1][s] + Minimal<M>::FILTER[i][2] * g[2][s];
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++)
      u[i][j] = half[i][0] * Minimal<M>::FILTER[j][0] + half[i][1] * Minimal<M>::FILTER[j][1] + half[i][2] * Minimal<M>::FILTER[j][2];
}

// The way back: the filter is a combination of few of its transform's values, g = R u R^T. Points 0 and infinity give the
// outer taps by themselves, and the difference of the first pair of points the middle one.
template <int M> inline double recover(int tap, int point) {
  if (tap == 0) return point == 0 ? 1 / Minimal<M>::FILTER[0][0] : 0;
  if (tap == 2) return point == Minimal<M>::SIDE - 1 ? 1 : 0;
  const double middle = 2 * Minimal<M>::FILTER[1][1];
  return point == 1 ? 1 / middle : point == 2 ? -1 / middle : 0;
}

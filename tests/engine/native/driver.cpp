// Proves the kernels without Python: drawn convolutions against the definition in float64, on processors that an emulator
// stands in for and under sanitizers of threads. `driver SEED COUNT`; the last line says how many were right.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "../../../verydeep/engine/native/kernels.h"

namespace {

typedef std::vector<float> Floats;

// 64-byte aligned memory that ends where it was asked to end.
struct Space {
  void *data = nullptr;
  explicit Space(int64_t bytes) {
    if (posix_memalign(&data, 64, static_cast<size_t>(bytes > 0 ? bytes : 1))) std::abort();
    std::memset(data, 0xff, static_cast<size_t>(bytes > 0 ? bytes : 1));  // NaNs, in float32 and in bfloat16
  }
  Space(const Space &) = delete;
  ~Space() { std::free(data); }
};

struct Problem {
  vd_conv_args args;
  Floats x, weights, bias, add;
  std::string text() const {
    std::ostringstream out;
    out << "n " << args.x.n << ", " << args.x.h << "x" << args.x.w << ", " << args.x.c << " to " << args.y.c << " channels, kernel "
        << args.kernel[0] << "x" << args.kernel[1] << ", stride " << args.stride[0] << "x" << args.stride[1] << ", groups "
        << args.groups << ", method " << args.method << ", type " << args.type << ", pool " << args.pool;
    return out.str();
  }
};

int64_t rows(const vd_conv_args &a, int axis) {
  const int64_t size = axis ? a.x.w : a.x.h;
  return (size + a.padding[2 * axis] + a.padding[2 * axis + 1] - a.dilation[axis] * (a.kernel[axis] - 1) - 1) / a.stride[axis] + 1;
}

int64_t pooled(int64_t size, int pool) { return pool == VD_NO_POOL ? size : (size + (pool == VD_POOL_CEIL)) / 2; }

Problem drawn(std::mt19937_64 &random) {
  const auto upto = [&](int64_t least, int64_t most) { return std::uniform_int_distribution<int64_t>(least, most)(random); };
  Problem p = {};
  vd_conv_args &a = p.args;
  // Method, type, kernel of Winograd's: each in its turn.
  static const int forms[][3] = {{VD_DIRECT, VD_FLOAT32, 0}, {VD_F2, VD_FLOAT32, 3}, {VD_DIRECT, VD_INT8, 0},   {VD_F4, VD_FLOAT32, 3},
                                 {VD_F4, VD_INT16, 3},       {VD_F6, VD_FLOAT32, 3}, {VD_F4, VD_FLOAT32, 5},    {VD_DIRECT, VD_BFLOAT16, 0},
                                 {VD_F2, VD_INT16, 5},       {VD_F2, VD_FLOAT32, 5}, {VD_F2, VD_INT16, 3},      {VD_F4, VD_BFLOAT16, 3}};
  static size_t turn = 0;
  const auto &form = forms[turn++ % (sizeof forms / sizeof *forms)];
  a.method = form[0], a.type = form[1];
  a.groups = 1;
  for (int axis = 0; axis < 2; axis++) a.kernel[axis] = form[2], a.stride[axis] = a.dilation[axis] = 1;
  for (auto &side : a.padding) side = upto(0, 2);
  if (a.method == VD_DIRECT) {
    if (upto(0, 3) == 0) a.groups = upto(2, 4);
    for (int axis = 0; axis < 2; axis++) a.kernel[axis] = upto(1, 7), a.stride[axis] = upto(1, 3), a.dilation[axis] = upto(1, 2);
  } else {
    a.pool = static_cast<int32_t>(upto(0, 2));
  }
  a.largest = 5;
  a.relu = static_cast<int32_t>(upto(0, 1));
  a.threads = 1;
  a.x.n = a.y.n = upto(1, 2);
  a.x.h = upto(14, 26), a.x.w = upto(14, 26);
  const int64_t whole = a.type == VD_INT8 && a.groups > 1 ? 4 * a.groups : a.groups;
  a.x.c = whole * upto(1, 40 / whole), a.y.c = a.groups * upto(1, 70 / a.groups);
  a.x.pixel = a.x.c + upto(0, 3), a.y.pixel = a.y.c + upto(0, 3);
  a.y.h = pooled(rows(a, 0), a.pool), a.y.w = pooled(rows(a, 1), a.pool);
  std::normal_distribution<float> normal;
  const auto fill = [&](Floats &values, int64_t count, float scale) {
    values.resize(static_cast<size_t>(count));
    for (float &value : values) value = normal(random) * scale;
  };
  const int64_t window = a.x.c / a.groups * a.kernel[0] * a.kernel[1];
  fill(p.x, a.x.n * a.x.h * a.x.w * a.x.pixel, 1);
  if (a.type == VD_INT8)
    for (float &value : p.x) value = std::clamp(value, 0.0f, a.largest);
  fill(p.weights, a.y.c * window, 1 / std::sqrt(static_cast<float>(window)));
  fill(p.bias, a.y.c, 1);
  if (a.pool == VD_NO_POOL) fill(p.add, a.x.n * rows(a, 0) * rows(a, 1) * a.y.c, 1);
  return p;
}

int failures = 0;

void require(bool right, const char *what, const std::string &of) {
  if (right) return;
  failures++;
  std::printf("wrong: %s: %s: %s\n", vd_isa(), what, of.c_str());
}

void require(bool right, const char *what, const Problem &p) {
  if (!right) require(false, what, p.text());
}

Floats computed(const Problem &p, int threads) {
  vd_conv_args a = p.args;
  a.threads = threads;
  a.x.data = const_cast<float *>(p.x.data());
  a.bias = p.bias.data();
  a.add = p.add.empty() ? nullptr : p.add.data();
  a.add_pixel = a.y.c;
  const Space packed(vd_conv_packed_bytes(a.x.c, a.y.c, &a));
  require(vd_conv_pack(p.weights.data(), a.x.c, a.y.c, &a, packed.data) == VD_OK, "not packed", p);
  a.weights = packed.data;
  a.workspace_bytes = vd_conv_workspace_bytes(&a);
  const Space workspace(a.workspace_bytes);
  a.workspace = workspace.data;
  Floats y(static_cast<size_t>(a.y.n * a.y.h * a.y.w * a.y.pixel), -7.0f);
  a.y.data = y.data();
  require(vd_conv(&a) == VD_OK, "refused", p);
  return y;
}

// The definition, of one output before pooling, and in `size` what its terms would give if they did not cancel.
double definition(const Problem &p, int64_t n, int64_t row, int64_t column, int64_t k, double *size) {
  const vd_conv_args &a = p.args;
  const int64_t inputs = a.x.c / a.groups, first = k / (a.y.c / a.groups) * inputs;
  double sum = p.bias[static_cast<size_t>(k)], squares = sum * sum;
  for (int64_t i = 0; i < a.kernel[0]; i++)
    for (int64_t j = 0; j < a.kernel[1]; j++) {
      const int64_t y = row * a.stride[0] + i * a.dilation[0] - a.padding[0], x = column * a.stride[1] + j * a.dilation[1] - a.padding[2];
      if (y < 0 || x < 0 || y >= a.x.h || x >= a.x.w) continue;
      for (int64_t c = 0; c < inputs; c++) {
        const double term = double(p.x[static_cast<size_t>(((n * a.x.h + y) * a.x.w + x) * a.x.pixel + first + c)]) *
                            p.weights[static_cast<size_t>(((k * inputs + c) * a.kernel[0] + i) * a.kernel[1] + j)];
        sum += term, squares += term * term;
      }
    }
  if (!p.add.empty()) sum += p.add[static_cast<size_t>(((n * rows(a, 0) + row) * rows(a, 1) + column) * a.y.c + k)];
  *size = std::max({*size, std::sqrt(squares), std::abs(sum)});
  return a.relu ? std::max(sum, 0.0) : sum;
}

void check(const Problem &p) {
  const vd_conv_args &a = p.args;
  const Floats y = computed(p, 1);
  double off = 0, size = 0;
  for (int64_t n = 0; n < a.y.n; n++)
    for (int64_t i = 0; i < a.y.h; i++)
      for (int64_t j = 0; j < a.y.w; j++)
        for (int64_t k = 0; k < a.y.pixel; k++) {
          const double found = y[static_cast<size_t>(((n * a.y.h + i) * a.y.w + j) * a.y.pixel + k)];
          if (k >= a.y.c) {
            require(found == -7.0, "written between the channels", p);
            continue;
          }
          double wanted = -std::numeric_limits<double>::infinity();
          const int64_t side = a.pool == VD_NO_POOL ? 1 : 2;
          for (int64_t u = 0; u < side; u++)
            for (int64_t v = 0; v < side; v++)
              if (i * side + u < rows(a, 0) && j * side + v < rows(a, 1))
                wanted = std::max(wanted, definition(p, n, i * side + u, j * side + v, k, &size));
          off = std::isnan(found) ? INFINITY : std::max(off, std::abs(found - wanted));
        }
  // By type, then by method, the larger of 3x3 and 5x5; as in tests/engine/kernels/convolutions.py.
  const double bounds[][7] = {{3e-6, 0, 1e-5, 0, 3e-5, 0, 3e-5}, {4e-3, 0, 1e-2, 0, 4e-2}, {0, 0, 5e-3, 0, 5e-3}, {2e-2}};
  require(off <= bounds[a.type][a.method] * size, "too far off", p);
  for (int threads : {2, 3, 8}) {
    const Floats again = computed(p, threads);
    require(std::memcmp(again.data(), y.data(), y.size() * sizeof(float)) == 0, "threads change bits", p);
  }
}

Floats gradient_of(const Problem &p, const Floats &y, int threads) {
  vd_conv_args a = p.args;
  a.threads = threads;
  a.x.data = const_cast<float *>(p.x.data()), a.y.data = const_cast<float *>(y.data());
  a.workspace_bytes = vd_conv_gradient_workspace_bytes(&a);
  const Space workspace(a.workspace_bytes);
  a.workspace = workspace.data;
  Floats gradient(p.weights.size(), -7.0f);
  const int64_t strides[4] = {a.x.c * 9, 9, 3, 1};
  require(vd_conv_gradient(&a, gradient.data(), strides) == VD_OK, "no gradient", p);
  return gradient;
}

// By weights, against the definition; the numbers of x stand for the gradient of the outputs too.
void check_gradient(Problem p, int method) {
  vd_conv_args &a = p.args;
  a.method = method, a.type = VD_FLOAT32, a.pool = VD_NO_POOL;
  a.y.h = rows(a, 0), a.y.w = rows(a, 1);
  Floats y(static_cast<size_t>(a.y.n * a.y.h * a.y.w * a.y.pixel));
  for (size_t i = 0; i < y.size(); i++) y[i] = p.x[i % p.x.size()];
  const Floats found = gradient_of(p, y, 1);
  double off = 0, size = 0;
  for (int64_t k = 0; k < a.y.c; k++)
    for (int64_t c = 0; c < a.x.c; c++)
      for (int64_t tap = 0; tap < 9; tap++) {
        double sum = 0, squares = 0;
        for (int64_t n = 0; n < a.y.n; n++)
          for (int64_t i = 0; i < a.y.h; i++)
            for (int64_t j = 0; j < a.y.w; j++) {
              const int64_t row = i + tap / 3 - a.padding[0], column = j + tap % 3 - a.padding[2];
              if (row < 0 || column < 0 || row >= a.x.h || column >= a.x.w) continue;
              const double term = double(p.x[static_cast<size_t>(((n * a.x.h + row) * a.x.w + column) * a.x.pixel + c)]) *
                                  y[static_cast<size_t>(((n * a.y.h + i) * a.y.w + j) * a.y.pixel + k)];
              sum += term, squares += term * term;
            }
        const double value = found[static_cast<size_t>((k * a.x.c + c) * 9 + tap)];
        off = std::isnan(value) ? INFINITY : std::max(off, std::abs(value - sum));
        size = std::max(size, std::sqrt(squares));
      }
  require(off <= 5e-5 * size, "a gradient too far off", p);
  for (int threads : {2, 3, 8}) require(gradient_of(p, y, threads) == found, "threads change bits of a gradient", p);
}

// As many tiles as are not transformed at once.
Problem of_many_parts(std::mt19937_64 &random) {
  Problem p = drawn(random);
  vd_conv_args &a = p.args;
  a.groups = 1, a.x.n = a.y.n = 3, a.x.h = a.x.w = 30, a.x.c = a.x.pixel = 5, a.y.c = a.y.pixel = 300;
  for (int axis = 0; axis < 2; axis++) a.kernel[axis] = 3, a.stride[axis] = a.dilation[axis] = 1;
  p.x.resize(static_cast<size_t>(a.x.n * a.x.h * a.x.w * a.x.pixel), 0.5f);
  p.weights.resize(static_cast<size_t>(a.y.c * a.x.c * 9));
  return p;
}

// A map of distinct numbers, half of them below 0: each output is the largest of its window, and its gradient goes back there,
// but for those that a ReLU cuts off.
template <class Bits> void check_max_pool(int type, int64_t c, bool relu) {
  const int64_t shape[4] = {2, 7, 9, c}, down = 3, across = 4;
  const std::string text = std::to_string(c) + " channels";
  std::vector<Bits> x(static_cast<size_t>(2 * 7 * 9 * c)), back(x.size(), 1), y(static_cast<size_t>(2 * down * across * c));
  std::vector<uint8_t> indices(y.size());
  const auto value = [&](Bits bits) {
    const uint32_t wide = uint32_t(bits) << (type == VD_FLOAT32 ? 0 : 16);
    float number;
    std::memcpy(&number, &wide, sizeof number);
    return number;
  };
  for (size_t i = 0; i < x.size(); i++) {  // the bits of growing floats grow
    const size_t rank = i * 7919 % x.size(), sign = rank % 2 << (8 * sizeof(Bits) - 1);
    x[i] = static_cast<Bits>((type == VD_FLOAT32 ? 0x3f000000u : 0x1000u) + rank + sign);
  }
  require(vd_max_pool2x2(x.data(), shape, y.data(), indices.data(), type, relu, 3) == VD_OK, "max-pool", text);
  const std::vector<Bits> gradient(y.size(), 5);
  require(vd_max_pool2x2_gradient(gradient.data(), indices.data(), shape, back.data(), type, 3) == VD_OK, "max-pool's gradient", text);
  for (int64_t n = 0; n < 2; n++)
    for (int64_t i = 0; i < 7; i++)
      for (int64_t j = 0; j < 9; j++)
        for (int64_t k = 0; k < c; k++) {
          const auto at = [&](int64_t row, int64_t column) { return static_cast<size_t>(((n * 7 + row) * 9 + column) * c + k); };
          bool wins = i < 2 * down && j < 2 * across;
          float most = -INFINITY;
          for (int place = 0; wins && place < 4; place++)
            most = std::max(most, value(x[at(i / 2 * 2 + place / 2, j / 2 * 2 + place % 2)]));
          if (wins) {
            const Bits found = y[static_cast<size_t>(((n * down + i / 2) * across + j / 2) * c + k)];
            require(value(found) == (relu ? std::max(most, 0.0f) : most), "max-pool", text);
          }
          wins = wins && value(x[at(i, j)]) == most && !(relu && most <= 0);
          require(back[at(i, j)] == (wins ? 5 : 0), "max-pool's gradient", text);
        }
}

// The same from several threads at once, each of which asks for threads of its own.
void together(const Problem &p) {
  const Floats y = computed(p, 1);
  std::vector<Floats> found(4);
  std::vector<std::thread> callers;
  for (Floats &own : found) callers.emplace_back([&] { for (int i = 0; i < 3; i++) own = computed(p, 3); });
  for (std::thread &caller : callers) caller.join();
  for (const Floats &own : found) require(own == y, "calls at the same time disturb each other", p);
}

// A child of a process whose threads are awake has none of them, and still computes.
void after_fork(const Problem &p) {
  const Floats y = computed(p, 3);
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(computed(p, 3) == y ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a forked child does not compute", p);
  require(computed(p, 3) == y, "the parent of a forked child does not compute", p);
}

struct Steps {
  Floats x, y;
  vd_map from, to;
  int64_t c;

  Steps(std::mt19937_64 &random, int64_t c) : c(c) {
    const int64_t n = 2, h = 7, w = 9, pixel = c + 3;
    x.resize(static_cast<size_t>(n * h * w * pixel));
    y.assign(x.size(), -7.0f);
    std::normal_distribution<float> normal;
    for (float &value : x) value = normal(random);
    from = {x.data(), n, h, w, c, pixel};
    to = {y.data(), n, h, w, c, pixel};
  }

  // wanted(x, position of the pixel, channel) in float64 for every number of the map.
  template <class Wanted> void expect(const char *what, int answer, const Wanted &wanted) const {
    double off = 0;
    for (size_t i = 0; i < x.size(); i++) {
      const int64_t channel = static_cast<int64_t>(i) % from.pixel;
      const double right = channel < c ? wanted(x.data() + (static_cast<int64_t>(i) - channel), channel) : -7.0;
      off = std::isnan(y[i]) ? INFINITY : std::max(off, std::abs(y[i] - right));
    }
    require(answer == VD_OK && off <= 3e-6, what, std::to_string(c) + " channels");
  }
};

void other_steps(std::mt19937_64 &random) {
  for (int64_t c : {1, 3, 4, 15, 16, 17, 33, 64, 96}) {
    Steps s(random, c);
    const int64_t pixels = s.from.n * s.from.h * s.from.w;
    const float *factors = s.x.data();
    s.expect("tanh", vd_tanh(&s.from, &s.to, 2), [](const float *x, int64_t k) { return std::tanh(double(x[k])); });
    s.expect("add", vd_add(&s.from, &s.from, &s.to, 1, 2), [](const float *x, int64_t k) { return std::max(2.0 * x[k], 0.0); });
    s.expect("affine", vd_affine(&s.from, &s.to, factors, factors, 0, 2),
             [&](const float *x, int64_t k) { return double(x[k]) * factors[k] + factors[k]; });
    s.expect("lrn", vd_lrn(&s.from, &s.to, 5, 1e-2f, 0.75f, 2, 2), [&](const float *x, int64_t k) {
      double squares = 0;
      for (int64_t near = std::max<int64_t>(k - 2, 0); near <= std::min(k + 2, c - 1); near++) squares += double(x[near]) * x[near];
      return x[k] / std::pow(2 + 1e-2 * squares, 0.75);
    });
    Floats planes(static_cast<size_t>(pixels * c));
    require(vd_to_planes(&s.from, planes.data(), 2) == VD_OK, "to planes", "");
    s.expect("to planes and back", vd_from_planes(planes.data(), &s.to, 2), [](const float *x, int64_t k) { return x[k]; });
    const int64_t window[] = {s.from.h, s.from.w}, none[] = {0, 0}, one[] = {1, 1};
    vd_map whole = {s.y.data(), s.from.n, 1, 1, c, c};
    for (int pooling : {VD_MAX, VD_MEAN}) {
      require(vd_pool(&s.from, &whole, pooling, window, one, none, 2) == VD_OK, "pool", "");
      for (int64_t n = 0; n < 2; n++)
        for (int64_t k = 0; k < c; k++) {
          double most = -INFINITY, sum = 0;
          for (int64_t i = 0; i < pixels / 2; i++) {
            const double value = s.x[static_cast<size_t>((n * pixels / 2 + i) * s.from.pixel + k)];
            most = std::max(most, value), sum += value;
          }
          const double right = pooling == VD_MAX ? most : sum / (pixels / 2);
          require(std::abs(s.y[static_cast<size_t>(n * c + k)] - right) <= 1e-6, "pool", std::to_string(c) + " channels");
        }
    }
    const int64_t outputs = 5;  // the map's first rows are the weights
    std::vector<uint16_t> rounded(s.x.size());
    vd_to_bfloat16(s.x.data(), rounded.data(), static_cast<int64_t>(s.x.size()), 2);
    for (int type : {VD_FLOAT32, VD_BFLOAT16}) {
      const void *weights = type == VD_FLOAT32 ? static_cast<const void *>(s.x.data()) : rounded.data();
      require(vd_linear(s.x.data(), weights, nullptr, s.y.data(), 3, c, outputs, type, 0, 2) == VD_OK, "linear", "");
      for (int64_t i = 0; i < 3 * outputs; i++) {
        double sum = 0, size = 0;
        for (int64_t k = 0; k < c; k++) {
          const size_t at = static_cast<size_t>(i % outputs * c + k);
          const uint32_t bits = uint32_t(rounded[at]) << 16;
          float weight;
          std::memcpy(&weight, &bits, sizeof weight);
          if (type == VD_FLOAT32) weight = s.x[at];
          require(std::abs(weight - s.x[at]) <= std::abs(s.x[at]) / 256, "to bfloat16", "");
          const double term = double(weight) * s.x[static_cast<size_t>(i / outputs * c + k)];
          sum += term, size += std::abs(term);
        }
        require(std::abs(s.y[static_cast<size_t>(i)] - sum) <= 2e-6 * size, "linear", std::to_string(c) + " inputs");
      }
    }
  }
}

}  // namespace

int main(int count, char **words) {
  const uint64_t seed = count > 1 ? std::strtoull(words[1], nullptr, 10) : 1;
  const int problems = count > 2 ? std::atoi(words[2]) : 40;
  const bool forks = count <= 3 || std::string(words[3]) != "without-fork";
  std::istringstream names(vd_isas());
  int done = 0;
  for (std::string name; names >> name;) {
    if (vd_use_isa(name.c_str()) != VD_OK) continue;
    std::mt19937_64 random(seed);
    for (int i = 0; i < problems; i++, done++) {
      const Problem p = drawn(random);
      check(p);
      if (p.args.kernel[0] == 3 && p.args.method != VD_DIRECT) check_gradient(p, i % 2 ? VD_F2 : VD_F4);
    }
    check_gradient(of_many_parts(random), VD_F4);
    for (int64_t c : {1, 5, 16, 37}) {
      for (bool relu : {false, true}) {
        check_max_pool<uint32_t>(VD_FLOAT32, c, relu);
        check_max_pool<uint16_t>(VD_BFLOAT16, c, relu);
      }
    }
    other_steps(random);
    for (int i = 0; i < 3; i++) together(drawn(random));
    if (forks) after_fork(drawn(random));
    std::printf("%s ", name.c_str());
  }
  std::printf(": %d convolutions, %d wrong\n", done, failures);
  return failures > 0 || done == 0;
}

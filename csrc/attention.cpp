// Scaled dot-product attention in blocks, forward and backward, in float32 (FlashAttention, arXiv 2205.14135 and 2307.08691).
//
//   forward    y = softmax(scale * q k' + mask) v      lse = log(sum(exp(scale * q k' + mask)))
//   backward   p = exp(scale * q k' + mask - lse)      s = p * (g v' - sum(g * y))
//              gv = p' g      gk = scale * s' q      gq = scale * s k
//
// The weights of all queries and keys are never held, only those of a block of `block_keys` keys by `block_queries`
// queries. A block lies transposed, queries along the vectors: the sums and maxima of the softmax over keys are then vertical,
// as is everything that is one number a query. Products are made of register tiles (microkernel.h).
//
// Keys are taken in order and partial sums are added in that order; tasks are blocks of queries of one head (forward), and
// chunks of the keys of one head (backward), cut by shapes alone. Each reads its inputs with whatever strides they have, as
// long as their last dimension is dense (others are copied first); heads that share keys and values are supported.
//
// Forward and backward together take 0.65 of PyTorch's time for 128 causal queries of size 32, 0.83 for 1024 queries of size
// 64, 0.58 when these are causal; three quarters of it is in the register tiles, a fifth in exponentials.
#include <cmath>
#include <cstring>
#include <limits>

#include "array.h"
#include "kernel.h"
#include "math.h"
#include "microkernel.h"
#include "parallel.h"

namespace rushlight {
namespace {

constexpr int64_t block_queries = 64;
constexpr int64_t block_keys = 96;
// Keys in one task of the backward pass where there are few heads.
constexpr int64_t chunk_keys = 512, few_heads = 16, most_chunks = 8;
// Multiplications below which threads are not woken.
constexpr int64_t serial_work = 1 << 18;
constexpr int64_t L = lanes<float>;
constexpr float infinity = std::numeric_limits<float>::infinity();
static_assert(block_queries % L == 0);

// A Python object that is given up at the end.
class Owned {
 public:
  explicit Owned(PyObject* object = nullptr) : object_(object) {}
  ~Owned() { Py_XDECREF(object_); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  void set(PyObject* object) {
    Py_XDECREF(object_);
    object_ = object;
  }
  PyObject* get() const { return object_; }
  PyObject* give() { return std::exchange(object_, nullptr); }

 private:
  PyObject* object_;
};

// An array [N, H, rows, columns] whose rows are dense; missing leading dimensions count as 1. Strides are in elements.
struct Matrices {
  float* data = nullptr;
  int64_t shape[4] = {1, 1, 1, 1};
  int64_t stride[4] = {0, 0, 0, 1};
  Owned copy;

  float* at(int64_t n, int64_t h) const { return data + n * stride[0] + h * stride[1]; }

  void view(const Array& x) {
    data = x.as<float>();
    for (int i = 0; i < x.ndim; i++) {
      shape[4 - x.ndim + i] = x.shape[i];
      stride[4 - x.ndim + i] = x.strides[i] / int64_t(sizeof(float));
    }
  }

  // False when the argument is not for native code (or, with an exception set, there was no memory).
  bool read(PyObject* value) {
    Array x;
    if (!x.read(value) || x.type != Type::F32 || x.hidden || x.ndim < 2 || x.ndim > 4 || x.size() == 0) return false;
    if (x.strides[x.ndim - 1] != sizeof(float)) {
      copy.set(PyArray_NewCopy(x.object, NPY_CORDER));
      if (!copy.get() || !x.read(copy.get())) return false;
    }
    view(x);
    return true;
  }
};

// A mask that broadcasts to [N, H, queries, keys], or nothing. Strides are in elements, 0 where it is the same for all.
struct MaskView {
  const char* data = nullptr;
  bool boolean = false;
  int64_t stride[4] = {};

  bool read(PyObject* value, const int64_t (&scores)[4]) {
    if (!given(value)) return true;
    Array x;
    if (!x.read(value) || x.hidden || x.ndim > 4 || (x.type != Type::Bool && x.type != Type::F32)) return false;
    data = x.data;
    boolean = x.type == Type::Bool;
    for (int i = 0; i < x.ndim; i++) {
      const int d = 4 - x.ndim + i;
      if (x.shape[i] != 1 && x.shape[i] != scores[d]) return false;
      stride[d] = x.shape[i] == 1 ? 0 : x.strides[i] / x.itemsize();
    }
    return true;
  }
};

struct Problem {
  Matrices q, k, v;
  MaskView mask;
  bool causal = false;
  float scale = 1;
  int64_t batch = 1, heads = 1, queries = 1, keys = 1, size = 1, value_size = 1;
  int64_t groups = 1, shared = 1;  // heads of keys and values; heads of queries that share one

  bool read(PyObject* q_, PyObject* k_, PyObject* v_, PyObject* mask_, PyObject* causal_, PyObject* scale_) {
    double factor;
    if (!q.read(q_) || !k.read(k_) || !v.read(v_) || !read_bool(causal_, causal) || !read_double(scale_, factor)) return false;
    scale = float(factor);
    batch = q.shape[0], heads = q.shape[1], queries = q.shape[2], size = q.shape[3];
    groups = k.shape[1], keys = k.shape[2], value_size = v.shape[3];
    const bool fits = k.shape[0] == batch && v.shape[0] == batch && v.shape[1] == groups && v.shape[2] == keys && k.shape[3] == size;
    if (!fits || heads % groups) return false;
    shared = heads / groups;
    return causal || mask.read(mask_, {batch, heads, queries, keys});
  }
  // Multiplications of a product of all queries and keys.
  int64_t work() const { return batch * heads * queries * keys * (size + value_size); }
};

// Runs body(task) for every task, on one thread where there is little to do.
template <class F>
void run(const Problem& problem, int64_t tasks, F&& body) {
  if (problem.work() >= serial_work) return parallel(tasks, body);
  for (int64_t task = 0; task < tasks; task++) body(task);
}

// C = finish(A B): A [rows, depth] with strides `a_row` and `a_step`, B a panel [depth, columns], C's rows `c_stride` apart.
void product(const float* a, int64_t a_row, int64_t a_step, int64_t rows, const float* b, int64_t b_stride, int64_t columns, int64_t depth,
             float* c, int64_t c_stride, const Finish<float>& finish) {
  for (int64_t j = 0; j < columns; j += tile_columns<float>) {
    const int64_t wide = std::min(columns - j, tile_columns<float>);
    for (int64_t i = 0; i < rows; i += tile_rows) {
      const int64_t high = std::min<int64_t>(rows - i, tile_rows);
      Tap<float> tap{b + j, {}, a_step};
      float* to[tile_rows];
      for (int64_t r = 0; r < high; r++) {
        tap.a[r] = a + (i + r) * a_row;
        to[r] = c + (i + r) * c_stride + j;
      }
      tile_kernel<float>(high, wide)(1, &tap, depth, b_stride, to, wide, finish);
    }
  }
}

// A matrix whose rows are read again and again: where it lies if they are dense and fill whole vectors, else copied so. (Rows
// far apart, above all by powers of two, push one another out of the cache.)
struct Panel {
  const float* data;
  int64_t stride;

  Panel(const float* matrix, int64_t row, int64_t rows, int64_t columns, float* room) {
    stride = panel_width<float>(columns);
    data = row == stride && columns == stride ? matrix : room;
    for (int64_t i = 0; data == room && i < rows; i++) {
      std::copy(matrix + i * row, matrix + i * row + columns, room + i * stride);
      std::fill(room + i * stride + columns, room + (i + 1) * stride, 0.0f);
    }
  }
};

// Which queries and keys a block holds.
struct Block {
  int64_t n, h, query, queries, key, keys;

  int64_t width() const { return panel_width<float>(queries); }
};

// scores[key][query] with what the mask and causality block at -inf. `room`: block_keys * block_queries floats, twice.
void mask_scores(const Problem& problem, const Block& block, float* scores, float* room) {
  const int64_t width = block.width();
  const MaskView& mask = problem.mask;
  if (problem.causal) {
    for (int64_t k = 0; k < block.keys; k++) {
      const int64_t blind = std::min(block.key + k - block.query, width);
      for (int64_t i = 0; i < blind; i++) scores[k * block_queries + i] = -infinity;
    }
    return;
  }
  if (!mask.data) return;
  const int64_t first = block.n * mask.stride[0] + block.h * mask.stride[1] + block.query * mask.stride[2] + block.key * mask.stride[3];
  const auto* floats = reinterpret_cast<const float*>(mask.data) + first;
  const auto* bools = reinterpret_cast<const uint8_t*>(mask.data) + first;
  // The mask as numbers to add, one row a query, then turned.
  float* const turned = room + block_keys * block_queries;
  const int64_t rows = mask.stride[2] ? block.queries : 1;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t k = 0; k < block.keys; k++) {
      const int64_t at = i * mask.stride[2] + k * mask.stride[3];
      room[i * block_keys + k] = !mask.boolean ? floats[at] : bools[at] ? 0.0f : -infinity;
    }
  if (rows > 1) transpose_into(room, block_keys, rows, block.keys, turned, block_queries);
  for (int64_t k = 0; k < block.keys; k++)
    for (int64_t i = 0; i < width; i += L) {
      float* const at = scores + k * block_queries + i;
      const Vec<float> score = load(at);
      const Vec<float> added = rows > 1 ? load(turned + k * block_queries + i) : splat(room[k]);
      store(at, mask.boolean ? select(added < 0.0f, splat(-infinity), score) : score + added);
    }
}

// The rows of a block's queries, or of what is like them, as columns: a panel [size, queries].
void turn(const float* matrix, int64_t stride, int64_t queries, int64_t size, float* turned) {
  const int64_t width = panel_width<float>(queries);
  transpose_into(matrix, stride, queries, size, turned, width);
  for (int64_t r = 0; r < size; r++) std::fill(turned + r * width + queries, turned + (r + 1) * width, 0.0f);
}

// The same of the queries themselves, scaled.
void turn_queries(const Problem& problem, const Block& block, float* turned) {
  const int64_t stride = problem.q.stride[2];
  turn(problem.q.at(block.n, block.h) + block.query * stride, stride, block.queries, problem.size, turned);
  for (int64_t i = 0; i < problem.size * block.width(); i += L) store(turned + i, load(turned + i) * problem.scale);
}

// scores[key][query] = mask + scale * q k'.
void block_scores(const Problem& problem, const Block& block, const float* turned, float* scores, float* room) {
  const float* const keys = problem.k.at(block.n, block.h / problem.shared) + block.key * problem.k.stride[2];
  product(keys, problem.k.stride[2], 1, block.keys, turned, block.width(), block.width(), problem.size, scores, block_queries, {});
  mask_scores(problem, block, scores, room);
}

// How many keys, from the first on, the queries of a block see some of.
int64_t keys_seen(const Problem& problem, int64_t query, int64_t queries) {
  return problem.causal ? std::min(problem.keys, query + queries) : problem.keys;
}

// exp(x) for a softmax: 0 where it would be no normal number, which the processor would compute slowly.
Vec<float> weight_of(Vec<float> x) {
  const auto far = x < -87.0f;
  return select(far, Vec<float>{}, exp(select(far, Vec<float>{}, x)));
}

// One step of the softmax whose maximum is found on the way: scores become weights relative to the new maximum, `top`;
// `total` and the sums made so far are brought to it.
void soften(const Block& block, float* scores, float* top, float* total, float* sums, int64_t rows) {
  for (int64_t i = 0; i < block.width(); i += L) {
    const Vec<float> before = load(top + i);
    Vec<float> now = before;
    for (int64_t k = 0; k < block.keys; k++) now = max(now, load(scores + k * block_queries + i));
    store(top + i, now);
    const Vec<float> base = select(now == -infinity, Vec<float>{}, now);
    const Vec<float> shrink = weight_of(before - base);
    Vec<float> sum{};
    for (int64_t k = 0; k < block.keys; k++) {
      float* const at = scores + k * block_queries + i;
      const Vec<float> weight = weight_of(load(at) - base);
      store(at, weight);
      sum += weight;
    }
    store(total + i, load(total + i) * shrink + sum);
    for (int64_t r = 0; r < rows; r++) {
      float* const at = sums + r * block_queries + i;
      store(at, load(at) * shrink);
    }
  }
}

int64_t forward_room(const Problem& problem) {
  return block_queries * (problem.size + problem.value_size + 3 * block_keys + 2) + block_keys * panel_width<float>(problem.value_size);
}

// The result and the log-sum-exp of a block of queries.
void forward_block(const Problem& problem, Block block, const Matrices& out, float* logsumexp, float* room) {
  float* const turned = room;
  float* const sums = turned + problem.size * block_queries;
  float* const scores = sums + problem.value_size * block_queries;
  float* const top = scores + block_keys * block_queries;
  float* const total = top + block_queries;
  float* const mask_room = total + block_queries;
  float* const value_room = mask_room + 2 * block_keys * block_queries;
  std::memset(sums, 0, size_t(problem.value_size * block_queries) * sizeof(float));
  std::fill(top, top + block_queries, -infinity);
  std::fill(total, total + block_queries, 0.0f);
  turn_queries(problem, block, turned);
  const float* const values = problem.v.at(block.n, block.h / problem.shared);
  const int64_t seen = keys_seen(problem, block.query, block.queries);
  for (block.key = 0; block.key < seen; block.key += block_keys) {
    block.keys = std::min(block_keys, seen - block.key);
    block_scores(problem, block, turned, scores, mask_room);
    soften(block, scores, top, total, sums, problem.value_size);
    const Panel panel(values + block.key * problem.v.stride[2], problem.v.stride[2], block.keys, problem.value_size, value_room);
    product(panel.data, 1, panel.stride, problem.value_size, scores, block_queries, block.width(),
            block.keys, sums, block_queries, {.accumulate = true});
  }
  for (int64_t i = 0; i < block.width(); i += L) {
    const Vec<float> sum = load(total + i), highest = load(top + i);
    const Vec<float> part = 1.0f / select(sum == 0.0f, splat(1.0f), sum);
    for (int64_t r = 0; r < problem.value_size; r++) store(sums + r * block_queries + i, load(sums + r * block_queries + i) * part);
    store(total + i, log(sum) + select(highest == -infinity, Vec<float>{}, highest));
  }
  std::copy(total, total + block.queries, logsumexp + block.query);
  transpose_into(sums, block_queries, problem.value_size, block.queries, out.at(block.n, block.h) + block.query * out.stride[2], out.stride[2]);
}

// A new array in the order of `like`, as matrices whose rows are dense; false (without an exception) when they are not.
bool make_matrices(PyObject* like, int64_t columns, Owned& made, Matrices& found) {
  Array x;
  x.read(like);
  npy_intp shape[4];
  std::copy(x.shape, x.shape + x.ndim, shape);
  shape[x.ndim - 1] = columns;
  made.set(new_array_in_order(x, shape, Type::F32));
  if (!made.get()) return false;
  found.view(view_of(made.get()));
  return found.shape[3] == 1 || found.stride[3] == 1;
}

PyObject* attention_forward(PyObject* const* args) {
  Problem problem;
  Owned y, lse;
  Matrices out;
  if (!problem.read(args[0], args[1], args[2], args[3], args[4], args[5])) return decline();
  if (!make_matrices(args[0], problem.value_size, y, out)) return decline();
  const Array shaped = view_of(y.get());
  lse.set(new_array(shaped.ndim - 1, shaped.shape, Type::F32));
  if (!lse.get()) return nullptr;
  float* const logsumexp = view_of(lse.get()).as<float>();
  const int64_t blocks = (problem.queries + block_queries - 1) / block_queries;
  const int64_t room = forward_room(problem);
  {
    const ReleaseGil released(problem.work());
    run(problem, problem.batch * problem.heads * blocks, [&](int64_t task) {
      const int64_t head = task / blocks, n = head / problem.heads, h = head % problem.heads;
      // The last blocks of a head see most keys: they go first.
      const int64_t query = (blocks - 1 - task % blocks) * block_queries;
      const Block block{n, h, query, std::min(block_queries, problem.queries - query), 0, 0};
      forward_block(problem, block, out, logsumexp + head * problem.queries, scratch<float>(0, room));
    });
  }
  return PyTuple_Pack(2, y.get(), lse.get());
}

// What the backward pass reads and writes besides the problem. Gradients that are not wanted have no data.
struct Backward {
  Matrices g, out, gq, gk, gv;
  const float* logsumexp = nullptr;
  float* parts = nullptr;  // further arrays like gq, one for each chunk of keys but the first
  int64_t chunks = 1;
};

int64_t backward_room(const Problem& problem) {
  const int64_t columns = panel_width<float>(problem.size) + panel_width<float>(problem.value_size);
  return block_queries * (2 * columns + 4 * block_keys + 2) + block_keys * columns;
}

// The parts of a thread's memory.
struct BackwardRoom {
  float *queries, *cotangents, *query_panel, *cotangent_panel, *key_panel, *weights, *slopes, *mask, *delta, *logsumexp;

  BackwardRoom(const Problem& problem, float* room) {
    const int64_t size = panel_width<float>(problem.size), value_size = panel_width<float>(problem.value_size);
    const auto next = [&](int64_t count) { return std::exchange(room, room + count); };
    queries = next(block_queries * size), cotangents = next(block_queries * value_size);
    query_panel = next(block_queries * size), cotangent_panel = next(block_queries * value_size);
    key_panel = next(block_keys * size);
    weights = next(block_keys * block_queries), slopes = next(block_keys * block_queries);
    mask = next(2 * block_keys * block_queries), delta = next(block_queries), logsumexp = next(block_queries);
  }
};

// sum(g * y) for each query of a block, and its log-sum-exp, 0 for one that saw nothing (its weights are exp(-inf)).
void block_constants(const Problem& problem, const Backward& back, const Block& block, const BackwardRoom& room) {
  for (int64_t i = 0; i < block.queries; i++) {
    const float* const g = back.g.at(block.n, block.h) + (block.query + i) * back.g.stride[2];
    const float* const y = back.out.at(block.n, block.h) + (block.query + i) * back.out.stride[2];
    Vec<float> sum{};
    int64_t c = 0;
    for (; c + L <= problem.value_size; c += L) sum += load(g + c) * load(y + c);
    if (c < problem.value_size) sum += load_first(g + c, problem.value_size - c) * load_first(y + c, problem.value_size - c);
    room.delta[i] = sum_lanes<float>(sum);
    const float known = back.logsumexp[(block.n * problem.heads + block.h) * problem.queries + block.query + i];
    room.logsumexp[i] = known == -infinity ? 0.0f : known;
  }
  std::fill(room.delta + block.queries, room.delta + block.width(), 0.0f);
  std::fill(room.logsumexp + block.queries, room.logsumexp + block.width(), 0.0f);
}

// What one block of keys and queries adds to the gradients.
void backward_block(const Problem& problem, const Backward& back, const Block& block, const BackwardRoom& room, const Panel& queries,
                    const Panel& cotangents, float* gq) {
  const int64_t group = block.h / problem.shared, width = block.width();
  const float* const keys = problem.k.at(block.n, group) + block.key * problem.k.stride[2];
  const float* const values = problem.v.at(block.n, group) + block.key * problem.v.stride[2];
  block_scores(problem, block, room.queries, room.weights, room.mask);
  const bool sloped = gq || back.gk.data;
  if (sloped) product(values, problem.v.stride[2], 1, block.keys, room.cotangents, width, width, problem.value_size, room.slopes, block_queries, {});
  for (int64_t k = 0; k < block.keys; k++)
    for (int64_t i = 0; i < width; i += L) {
      const int64_t at = k * block_queries + i;
      const Vec<float> weight = weight_of(load(room.weights + at) - load(room.logsumexp + i));
      store(room.weights + at, weight);
      if (sloped) store(room.slopes + at, weight * (load(room.slopes + at) - load(room.delta + i)));
    }
  if (back.gv.data)
    product(room.weights, block_queries, 1, block.keys, cotangents.data, cotangents.stride, problem.value_size, block.queries,
            back.gv.at(block.n, group) + block.key * back.gv.stride[2], back.gv.stride[2], {.accumulate = true});
  const Finish<float> scaled{.scale = problem.scale, .accumulate = true};
  if (back.gk.data)
    product(room.slopes, block_queries, 1, block.keys, queries.data, queries.stride, problem.size, block.queries,
            back.gk.at(block.n, group) + block.key * back.gk.stride[2], back.gk.stride[2], scaled);
  if (gq) {
    const Panel panel(keys, problem.k.stride[2], block.keys, problem.size, room.key_panel);
    product(room.slopes, 1, block_queries, block.queries, panel.data, panel.stride, problem.size, block.keys, gq, back.gq.stride[2], scaled);
  }
}

// All that the keys [first, last) of one head of keys and values are to gk and gv, and their share of gq.
void backward_chunk(const Problem& problem, const Backward& back, int64_t n, int64_t group, int64_t chunk, float* memory) {
  const BackwardRoom room(problem, memory);
  const int64_t length = back.chunks == 1 ? problem.keys : chunk_keys * ((problem.keys + chunk_keys * back.chunks - 1) / (chunk_keys * back.chunks));
  const int64_t first = chunk * length, last = std::min(problem.keys, first + length);
  for (int64_t h = group * problem.shared; h < (group + 1) * problem.shared; h++)
    for (int64_t query = 0; query < problem.queries; query += block_queries) {
      Block block{n, h, query, std::min(block_queries, problem.queries - query), 0, 0};
      const int64_t seen = std::min(last, keys_seen(problem, query, block.queries));
      if (seen <= first) continue;
      const float* const q = problem.q.at(n, h) + query * problem.q.stride[2];
      const float* const g = back.g.at(n, h) + query * back.g.stride[2];
      turn_queries(problem, block, room.queries);
      turn(g, back.g.stride[2], block.queries, problem.value_size, room.cotangents);
      const Panel queries(q, problem.q.stride[2], block.queries, problem.size, room.query_panel);
      const Panel cotangents(g, back.g.stride[2], block.queries, problem.value_size, room.cotangent_panel);
      block_constants(problem, back, block, room);
      float* gq = back.gq.data ? back.gq.at(n, h) + query * back.gq.stride[2] : nullptr;
      if (gq && chunk > 0) gq += back.parts - back.gq.data + (chunk - 1) * problem.batch * problem.heads * problem.queries * problem.size;
      for (block.key = first; block.key < seen; block.key += block_keys) {
        block.keys = std::min(block_keys, seen - block.key);
        backward_block(problem, back, block, room, queries, cotangents, gq);
      }
    }
}

// A gradient's array, zero everywhere: in the order of its input for q, row-major for k and v.
bool make_gradient(PyObject* input, bool ordered, Owned& made, Matrices& found) {
  Array x;
  x.read(input);
  made.set(ordered ? new_array_in_order(x, x.shape, Type::F32) : new_array(x.ndim, x.shape, Type::F32));
  if (!made.get()) return false;
  found.view(view_of(made.get()));
  parallel_range(x.size(), 1 << 16, [&](int64_t begin, int64_t end) { std::fill(found.data + begin, found.data + end, 0.0f); });
  return found.shape[3] == 1 || found.stride[3] == 1;
}

PyObject* attention_backward(PyObject* const* args) {
  Problem problem;
  Backward back;
  Matrices lse;
  Owned gradients[3];
  Array logsumexp;
  int64_t needed[max_dims];
  int count;
  if (!problem.read(args[1], args[2], args[3], args[6], args[7], args[8]) || !back.g.read(args[0]) || !back.out.read(args[4])) return decline();
  if (!logsumexp.read(args[5]) || logsumexp.type != Type::F32 || !logsumexp.contiguous()) return decline();
  if (!read_ints(args[9], needed, count) || count != 4 || needed[3]) return decline();
  Matrices* const made[] = {&back.gq, &back.gk, &back.gv};
  for (int i = 0; i < 3; i++)
    if (needed[i] && !make_gradient(args[1 + i], i == 0, gradients[i], *made[i])) return decline();
  back.logsumexp = logsumexp.as<float>();
  const int64_t tasks = problem.batch * problem.groups, total = problem.batch * problem.heads * problem.queries * problem.size;
  if (tasks < few_heads) back.chunks = std::min(most_chunks, (problem.keys + chunk_keys - 1) / chunk_keys);
  const int64_t further = back.gq.data ? (back.chunks - 1) * total : 0, room = backward_room(problem);
  back.parts = scratch<float>(1, further + 1);
  {
    const ReleaseGil released(problem.work());
    parallel_range(further, 1 << 16, [&](int64_t begin, int64_t end) { std::fill(back.parts + begin, back.parts + end, 0.0f); });
    run(problem, tasks * back.chunks, [&](int64_t task) {
      const int64_t head = task / back.chunks;
      backward_chunk(problem, back, head / problem.groups, head % problem.groups, task % back.chunks, scratch<float>(0, room));
    });
    parallel_range(further ? total : 0, 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t part = 0; part < back.chunks - 1; part++)
        for (int64_t i = begin; i < end; i++) back.gq.data[i] += back.parts[part * total + i];
    });
  }
  const auto found = [&](int i) { return gradients[i].get() ? gradients[i].get() : Py_None; };
  return PyTuple_Pack(4, found(0), found(1), found(2), Py_None);
}

const Family family("attention", {
                                     {"attention_forward", "q k v mask is_causal scale", attention_forward},
                                     {"attention_backward", "g q k v out logsumexp mask is_causal scale needed", attention_backward},
                                 });

}  // namespace
}  // namespace rushlight

// The walk over an array that is reduced (see reduce.h).
//
// Short runs between reduced dimensions are columns too, which are merged at the end (`fold`); rows of a few elements are turned into
// columns. What is reduced is cut into blocks that follow from the shape alone, and partial results are merged in their
// order, so that threads change nothing.
#include "iterate.h"
#include "kernel.h"
#include "owned.h"
#include "parallel.h"
#include "reduce.h"
#include "relayout.h"

namespace rushlight {
namespace {

constexpr int64_t short_run = 16;  // reduced runs shorter than this are folded, or turned into columns
constexpr int64_t tile_rows = 64;  // ... so many at a time

struct Axis {
  int64_t length, in, out;  // `in` in bytes, `out` in elements of the result
  bool reduced;
};

struct Walk {
  int ndim = 0;
  Axis axes[max_dims];  // outermost first; the last one is dense
  int64_t itemsize = 0;
  int64_t outputs = 1, reduced = 1;
  int64_t fold = 1;  // neighbouring columns that are one output

  // False: the innermost dimension is not dense.
  bool prepare(const Array& x, const bool* over) {
    itemsize = x.itemsize();
    int64_t step[max_dims];
    for (int d = x.ndim - 1; d >= 0; d--) {
      step[d] = over[d] ? 0 : outputs;
      (over[d] ? reduced : outputs) *= x.shape[d];
    }
    int order[max_dims];
    int count = 0;
    for (int d = 0; d < x.ndim; d++) {
      if (x.shape[d] == 1) continue;
      int place = count++;
      for (; place > 0 && x.strides[order[place - 1]] < x.strides[d]; place--) order[place] = order[place - 1];
      order[place] = d;
    }
    for (int i = 0; i < count; i++) {
      const int d = order[i];
      const Axis next{x.shape[d], x.strides[d], step[d], over[d]};
      if (ndim > 0) {
        Axis& before = axes[ndim - 1];
        if (before.reduced == next.reduced && before.in == next.in * next.length && before.out == next.out * next.length) {
          before = {before.length * next.length, next.in, next.out, next.reduced};
          continue;
        }
      }
      axes[ndim++] = next;
    }
    if (ndim == 0) axes[ndim++] = {1, itemsize, 0, true};
    if (axes[ndim - 1].in != itemsize) return false;
    // [.., reduced, kept, short reduced]: the long dimensions first, for all columns at once.
    if (ndim >= 3 && axes[ndim - 1].reduced && axes[ndim - 1].length < short_run && !axes[ndim - 2].reduced &&
        axes[ndim - 2].in == axes[ndim - 1].in * axes[ndim - 1].length && axes[ndim - 3].reduced) {
      fold = axes[ndim - 1].length;
      axes[ndim - 2].in = axes[ndim - 1].in;
      axes[ndim - 2].length *= fold;
      ndim--;
    }
    return true;
  }
};

// Where an element of the kept (or of the reduced) axes lies; the last axis and `skip` are left out.
struct Offsets {
  int count = 0;
  int64_t length[max_dims], in[max_dims], out[max_dims];
  int64_t total = 1;

  Offsets(const Walk& walk, int skip, bool reduced) {
    for (int i = 0; i < walk.ndim - 1; i++) {
      if (walk.axes[i].reduced != reduced || i == skip) continue;
      length[count] = walk.axes[i].length;
      in[count] = walk.axes[i].in;
      out[count++] = walk.axes[i].out;
      total *= walk.axes[i].length;
    }
  }
  void locate(int64_t index, int64_t& from, int64_t& to) const {
    from = to = 0;
    for (int i = count - 1; i >= 0; i--) {
      const int64_t at = i == 0 ? index : index % length[i];
      index = i == 0 ? 0 : index / length[i];
      from += at * in[i];
      to += at * out[i];
    }
  }
  int64_t locate(int64_t index) const {
    int64_t from, to;
    locate(index, from, to);
    return from;
  }
};

// Runs body(begin, end) over tasks of `each` elements.
template <class Body>
void share_tasks(int64_t tasks, int64_t each, Body&& body) {
  if (tasks * each <= 2 * serial_elements) return body(int64_t(0), tasks);
  parallel_range(tasks, std::max<int64_t>(1, serial_elements / std::max<int64_t>(each, 1)), body);
}

// Rows [begin, end) of a few elements each, turned into columns, a tile at a time.
template <class T>
void reduce_short_rows(const Offsets& kept, const Operation& op, const char* data, char* out, int64_t length, int64_t begin, int64_t end) {
  T tile[short_run * tile_rows];
  alignas(64) char parts[tile_rows * most_part_bytes];
  int64_t from, to[tile_rows] = {};
  for (int64_t first = begin; first < end; first += tile_rows) {
    const int64_t rows = std::min(tile_rows, end - first);
    bool even = true;  // results at equal distances
    for (int64_t i = 0; i < rows; i++) {
      kept.locate(first + i, from, to[i]);
      even &= i < 2 || to[i] - to[i - 1] == to[1] - to[0];
      const T* p = reinterpret_cast<const T*>(data + from);
      for (int64_t k = 0; k < length; k++) tile[k * tile_rows + i] = p[k];
    }
    op.start(parts, rows);
    op.rows(op.self, reinterpret_cast<const char*>(tile), length, tile_rows, rows, parts);
    if (even)
      op.finish(op.self, parts, rows, 1, out + to[0] * op.result_bytes, rows > 1 ? to[1] - to[0] : 1);
    else
      for (int64_t i = 0; i < rows; i++) op.finish(op.self, parts + i * op.part_bytes, 1, 1, out + to[i] * op.result_bytes, 1);
  }
}

void reduce_by_row(const Walk& walk, const Operation& op, const char* data, char* out) {
  const Offsets kept(walk, -1, false), outer(walk, -1, true);
  const int64_t length = walk.axes[walk.ndim - 1].length, pieces = (length + block_elements - 1) / block_elements, units = outer.total * pieces;
  const int64_t together = std::max<int64_t>(1, block_elements / std::min(length, block_elements)), groups = (units + together - 1) / together;
  if (units == 1 && length < short_run && kept.total >= tile_rows) {
    auto* tiles = walk.itemsize == 8   ? reduce_short_rows<uint64_t>
                  : walk.itemsize == 4 ? reduce_short_rows<uint32_t>
                                       : reduce_short_rows<uint8_t>;
    return share_tasks(kept.total, length, [&](int64_t begin, int64_t end) { tiles(kept, op, data, out, length, begin, end); });
  }
  auto add = [&](int64_t from, int64_t group, void* part) {
    op.start(part, 1);
    for (int64_t unit = group * together; unit < std::min(units, (group + 1) * together); unit++) {
      const int64_t begin = unit % pieces * block_elements;
      const char* p = data + from + (outer.count ? outer.locate(unit / pieces) : 0);
      op.run(op.self, p + begin * walk.itemsize, std::min(block_elements, length - begin), part);
    }
  };
  if (groups == 1)
    return share_tasks(kept.total, walk.reduced, [&](int64_t begin, int64_t end) {
      alignas(16) char part[most_part_bytes];
      for (int64_t o = begin; o < end; o++) {
        int64_t from, to;
        kept.locate(o, from, to);
        add(from, 0, part);
        op.finish(op.self, part, 1, 1, out + to * op.result_bytes, 1);
      }
    });
  char* parts = scratch<char>(0, kept.total * groups * op.part_bytes);
  share_tasks(kept.total * groups, block_elements, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) add(kept.locate(task / groups), task % groups, parts + task * op.part_bytes);
  });
  for (int64_t o = 0; o < kept.total; o++) {
    int64_t from, to;
    kept.locate(o, from, to);
    op.finish(op.self, parts + o * groups * op.part_bytes, groups, groups, out + to * op.result_bytes, 1);
  }
}

void reduce_by_column(const Walk& walk, const Operation& op, const char* data, char* out) {
  const Axis& last = walk.axes[walk.ndim - 1];
  int row_axis = walk.ndim - 2;
  while (row_axis >= 0 && !walk.axes[row_axis].reduced) row_axis--;
  const Axis rows = row_axis >= 0 ? walk.axes[row_axis] : Axis{1, 0, 0, true};
  const Offsets kept(walk, row_axis, false), outer(walk, row_axis, true);
  const int64_t wide = strip_columns / walk.fold * walk.fold, strips = (last.length + wide - 1) / wide, pitch = wide * op.part_bytes;
  const int64_t block = std::max<int64_t>(128, 2 * block_elements / std::min(wide, last.length) / 128 * 128);  // rows
  const int64_t pieces = (rows.length + block - 1) / block, units = outer.total * pieces, tasks = kept.total * strips;
  // Blocks that are merged by one task: enough elements to be worth it, all where there are many strips anyway.
  const int64_t each = std::min(block, rows.length) * std::min(wide, last.length);
  const int64_t together = tasks >= 64 ? units : std::max<int64_t>(1, block_elements / each);
  const int64_t groups = (units + together - 1) / together;
  auto width_of = [&](int64_t task) { return std::min(wide, last.length - task % strips * wide); };
  auto reduce_strip = [&](int64_t task, int64_t group, void* parts) {
    const int64_t width = width_of(task);
    const char* p = data + kept.locate(task / strips) + task % strips * wide * last.in;
    op.start(parts, width);
    for (int64_t unit = group * together; unit < std::min(units, (group + 1) * together); unit++) {
      const int64_t row = unit % pieces * block;
      const char* q = p + (outer.count ? outer.locate(unit / pieces) : 0) + row * rows.in;
      op.rows(op.self, q, std::min(block, rows.length - row), rows.in / walk.itemsize, width, parts);
    }
  };
  auto finish_strip = [&](int64_t task, void* parts) {
    int64_t from, to;
    kept.locate(task / strips, from, to);
    to += task % strips * wide / walk.fold * last.out;
    op.finish(op.self, parts, width_of(task), walk.fold, out + to * op.result_bytes, last.out);
  };
  if (groups == 1)
    return share_tasks(tasks, walk.reduced * std::min(wide, last.length), [&](int64_t begin, int64_t end) {
      alignas(64) char parts[strip_columns * most_part_bytes];
      for (int64_t task = begin; task < end; task++) {
        reduce_strip(task, 0, parts);
        finish_strip(task, parts);
      }
    });
  char* parts = scratch<char>(0, tasks * groups * pitch);
  share_tasks(tasks * groups, block_elements, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) reduce_strip(i / groups, i % groups, parts + i * pitch);
  });
  for (int64_t task = 0; task < tasks; task++) {
    char* first = parts + task * groups * pitch;
    for (int64_t group = 1; group < groups; group++) op.merge(first, first + group * pitch, width_of(task));
    finish_strip(task, first);
  }
}

}  // namespace

bool read_dims(PyObject* value, const Array& x, bool* over) {
  int64_t dims[max_dims];
  int count;
  if (!read_ints(value, dims, count) || (count == 0 && x.ndim > 0)) return false;
  for (int d = 0; d < x.ndim; d++) {
    if (x.shape[d] == 0) return false;
    over[d] = false;
  }
  for (int i = 0; i < count; i++) {
    if (dims[i] < 0 || dims[i] >= x.ndim || over[dims[i]]) return false;
    over[dims[i]] = true;
  }
  return true;
}

PyObject* reduce(const Array& x, const bool* over, bool keepdim, const Operation& op) {
  npy_intp shape[max_dims];
  int ndim = 0;
  for (int d = 0; d < x.ndim; d++)
    if (!over[d] || keepdim) shape[ndim++] = over[d] ? 1 : x.shape[d];
  const int64_t size = x.size();
  if (ndim == 0 && x.contiguous() && size <= serial_elements) {
    Owned made(new_array(0, nullptr, op.result));
    if (!made) return nullptr;
    alignas(16) char part[most_part_bytes];
    op.start(part, 1);
    op.run(op.self, x.data, size, part);
    op.finish(op.self, part, 1, 1, view_of(made.get()).data, 1);
    return made.give();
  }
  Walk walk;
  Array seen = x;
  Owned held;
  if (!walk.prepare(x, over)) {
    held = relaid(x, nullptr, seen);
    if (!held) return nullptr;
    walk = Walk();
    walk.prepare(seen, over);
  }
  Owned made(new_array(ndim, shape, op.result));
  if (!made) return nullptr;
  char* out = view_of(made.get()).data;
  const ReleaseGil released(size);
  walk.axes[walk.ndim - 1].reduced ? reduce_by_row(walk, op, seen.data, out) : reduce_by_column(walk, op, seen.data, out);
  return made.give();
}

}  // namespace rushlight

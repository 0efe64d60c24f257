// Reductions over any dimensions of an array with any strides.
//
// `Reduction` orders the dimensions by their strides and merges neighbours, so that the innermost one, dense in memory,
// is either reduced (`by row`: runs are added up) or kept (`by column`: rows are added to each other, a strip of columns at
// a time). Short rows between reduced dimensions are columns too, which are added up at the end (`fold`). What is reduced is
// cut into blocks that follow from the shape alone; partial results are merged in their order, so that threads change nothing.
//
// An operation `Op` has: types `In`, `Part` (a partial result), `Out`; `start()`; `run(p, n)`, the Part of a run of memory;
// `rows(p, rows, stride, width, parts)`, which merges each column of a matrix into its Part; `merge(part, other)`; and a
// member `finish(part)`, the Out.
#pragma once
#include <algorithm>

#include "array.h"
#include "iterate.h"
#include "owned.h"
#include "parallel.h"
#include "relayout.h"

namespace rushlight {

constexpr int64_t strip_columns = 512;  // columns that are reduced together
constexpr int64_t short_run = 16;       // reduced runs shorter than this are folded, or turned into columns
constexpr int64_t tile_rows = 64;       // ... so many at a time

struct Axis {
  int64_t length, in, out;  // `in` in bytes, `out` in elements of the result
  bool reduced;
};

struct Reduction {
  int ndim = 0;
  Axis axes[max_dims];  // outermost first; axes[ndim - 1] is dense
  int64_t outputs = 1, reduced = 1;
  int64_t fold = 1;     // neighbouring columns that are one output

  // Over the dimensions that `over` names. False: the innermost dimension is not dense.
  bool prepare(const Array& x, const bool* over) {
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
    if (ndim == 0) axes[ndim++] = {1, x.itemsize(), 0, true};
    if (axes[ndim - 1].in != x.itemsize()) return false;
    // [.., R, kept, short R]: reduce the long dimensions first, for all columns at once.
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

// Where element `index` of the axes that `wanted` picks lies (all but the last `skip` of the axes).
struct Offsets {
  int count = 0;
  int64_t length[max_dims], in[max_dims], out[max_dims];
  int64_t total = 1;

  Offsets(const Reduction& r, int skip, bool reduced) {
    for (int i = 0; i < r.ndim; i++) {
      if (r.axes[i].reduced != reduced || i == skip || i == r.ndim - 1) continue;
      length[count] = r.axes[i].length;
      in[count] = r.axes[i].in;
      out[count++] = r.axes[i].out;
      total *= r.axes[i].length;
    }
  }
  void locate(int64_t index, int64_t& from, int64_t& to) const {
    from = to = 0;
    if (count == 1) {
      from = index * in[0];
      to = index * out[0];
      return;
    }
    for (int i = count - 1; i >= 0; i--) {
      const int64_t at = index % length[i];
      index /= length[i];
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

// Rows [begin, end) of a few elements each: turned into columns, a tile at a time.
template <class Op>
void reduce_short_rows(const Offsets& kept, const Op& op, const char* data, typename Op::Out* out, int64_t length, int64_t begin, int64_t end) {
  using In = typename Op::In;
  In tile[short_run * tile_rows];
  typename Op::Part parts[tile_rows];
  int64_t to[tile_rows];
  for (int64_t first = begin; first < end; first += tile_rows) {
    const int64_t rows = std::min(tile_rows, end - first);
    for (int64_t i = 0; i < rows; i++) {
      int64_t from;
      kept.locate(first + i, from, to[i]);
      const In* p = reinterpret_cast<const In*>(data + from);
      for (int64_t k = 0; k < length; k++) tile[k * tile_rows + i] = p[k];
      parts[i] = Op::start();
    }
    op.rows(tile, length, tile_rows, rows, parts);
    for (int64_t i = 0; i < rows; i++) out[to[i]] = op.finish(parts[i]);
  }
}

template <class Op>
void reduce_by_row(const Reduction& r, const Op& op, const char* data, typename Op::Out* out) {
  using In = typename Op::In;
  using Part = typename Op::Part;
  const Offsets kept(r, -1, false), outer(r, -1, true);
  const int64_t length = r.axes[r.ndim - 1].length, pieces = (length + block_elements - 1) / block_elements, units = outer.total * pieces;
  const int64_t together = std::max<int64_t>(1, block_elements / std::min(length, block_elements)), groups = (units + together - 1) / together;
  auto part = [&](int64_t from, int64_t group) {
    Part total = Op::start();
    for (int64_t unit = group * together; unit < std::min(units, (group + 1) * together); unit++) {
      const int64_t begin = unit % pieces * block_elements;
      const char* p = data + from + (outer.count ? outer.locate(unit / pieces) : 0);
      op.merge(total, op.run(reinterpret_cast<const In*>(p) + begin, std::min(block_elements, length - begin)));
    }
    return total;
  };
  if (groups == 1 && outer.count == 0 && length < short_run && kept.total >= tile_rows)
    return share_tasks(kept.total, length, [&](int64_t begin, int64_t end) { reduce_short_rows(kept, op, data, out, length, begin, end); });
  if (groups == 1)
    return share_tasks(kept.total, r.reduced, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; o++) {
        int64_t from, to;
        kept.locate(o, from, to);
        out[to] = op.finish(part(from, 0));
      }
    });
  Part* parts = scratch<Part>(0, kept.total * groups);
  share_tasks(kept.total * groups, block_elements, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) parts[task] = part(kept.locate(task / groups), task % groups);
  });
  for (int64_t o = 0; o < kept.total; o++) {
    int64_t from, to;
    kept.locate(o, from, to);
    Part total = Op::start();
    for (int64_t group = 0; group < groups; group++) op.merge(total, parts[o * groups + group]);
    out[to] = op.finish(total);
  }
}

template <class Op>
void reduce_by_column(const Reduction& r, const Op& op, const char* data, typename Op::Out* out) {
  using In = typename Op::In;
  using Part = typename Op::Part;
  const Axis& last = r.axes[r.ndim - 1];
  int row_axis = r.ndim - 2;
  while (row_axis >= 0 && !r.axes[row_axis].reduced) row_axis--;
  const Axis rows = row_axis >= 0 ? r.axes[row_axis] : Axis{1, 0, 0, true};
  const Offsets kept(r, row_axis, false), outer(r, row_axis, true);
  const int64_t wide = strip_columns / r.fold * r.fold, strips = (last.length + wide - 1) / wide;
  const int64_t block = std::max<int64_t>(128, 2 * block_elements / std::min(wide, last.length) / 128 * 128);  // rows
  const int64_t pieces = (rows.length + block - 1) / block, units = outer.total * pieces;
  // Blocks that are merged by one task: enough elements to be worth it, all where there are many strips anyway.
  const int64_t each = std::min(block, rows.length) * std::min(wide, last.length);
  const int64_t together = kept.total * strips >= 64 ? units : std::max<int64_t>(1, block_elements / each);
  const int64_t groups = (units + together - 1) / together, tasks = kept.total * strips;
  auto reduce_strip = [&](int64_t task, int64_t group, Part* parts) {
    const int64_t begin = task % strips * wide, width = std::min(wide, last.length - begin);
    const char* p = data + kept.locate(task / strips) + begin * last.in;
    for (int64_t j = 0; j < width; j++) parts[j] = Op::start();
    for (int64_t unit = group * together; unit < std::min(units, (group + 1) * together); unit++) {
      const int64_t row = unit % pieces * block;
      const char* q = p + (outer.count ? outer.locate(unit / pieces) : 0) + row * rows.in;
      op.rows(reinterpret_cast<const In*>(q), std::min(block, rows.length - row), rows.in / int64_t(sizeof(In)), width, parts);
    }
  };
  auto finish_strip = [&](int64_t task, const Part* parts) {
    const int64_t begin = task % strips * wide, width = std::min(wide, last.length - begin);
    int64_t from, to;
    kept.locate(task / strips, from, to);
    typename Op::Out* target = out + to + begin / r.fold * last.out;
    for (int64_t j = 0; j < width; j += r.fold, target += last.out) {
      Part total = parts[j];
      for (int64_t k = 1; k < r.fold; k++) op.merge(total, parts[j + k]);
      *target = op.finish(total);
    }
  };
  if (groups == 1)
    return share_tasks(tasks, r.reduced * std::min(wide, last.length), [&](int64_t begin, int64_t end) {
      Part parts[strip_columns];
      for (int64_t task = begin; task < end; task++) {
        reduce_strip(task, 0, parts);
        finish_strip(task, parts);
      }
    });
  Part* parts = scratch<Part>(0, tasks * groups * wide);
  share_tasks(tasks * groups, block_elements, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) reduce_strip(i / groups, i % groups, parts + i * wide);
  });
  for (int64_t task = 0; task < tasks; task++) {
    Part* first = parts + task * groups * wide;
    for (int64_t group = 1; group < groups; group++)
      for (int64_t j = 0; j < std::min(wide, last.length - task % strips * wide); j++) op.merge(first[j], first[group * wide + j]);
    finish_strip(task, first);
  }
}

// The dimensions to reduce, as flags. False for what the reference should see: none of several, an empty array.
bool read_dims(PyObject* value, const Array& x, bool* over);

// Reduces x over the flagged dimensions into a new row-major array of Op's Out. NULL with an exception set, or without
// one where the reference should decide.
template <class Op>
PyObject* reduce(const Array& x, const bool* over, bool keepdim, const Op& op) {
  npy_intp shape[max_dims];
  int ndim = 0;
  for (int d = 0; d < x.ndim; d++)
    if (!over[d] || keepdim) shape[ndim++] = over[d] ? 1 : x.shape[d];
  if (ndim == 0 && x.contiguous() && x.size() <= serial_elements) {
    Owned made(new_array(0, nullptr, type_of<typename Op::Out>));
    if (made) *view_of(made.get()).template as<typename Op::Out>() = op.finish(op.run(x.as<const typename Op::In>(), x.size()));
    return made.give();
  }
  Reduction r;
  Array seen = x;
  Owned held;
  if (!r.prepare(x, over)) {
    held = relaid(x, nullptr, seen);
    if (!held) return nullptr;
    r = Reduction();
    r.prepare(seen, over);
  }
  Owned made(new_array(ndim, shape, type_of<typename Op::Out>));
  if (!made) return nullptr;
  auto* out = view_of(made.get()).template as<typename Op::Out>();
  const ReleaseGil released(x.size());
  r.axes[r.ndim - 1].reduced ? reduce_by_row(r, op, seen.data, out) : reduce_by_column(r, op, seen.data, out);
  return made.give();
}

}  // namespace rushlight

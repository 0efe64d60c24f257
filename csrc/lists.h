// Lists of parameters as one long row: what optimizer steps and gradient clipping work on.
//
// A model has few large and many small parameters. Their elements, one parameter after another, are cut into blocks of
// one size; a block may hold a hundred biases or a part of one weight, so threads share the work evenly and a small
// parameter costs no more than its own elements.
//
// Arrays that belong together by position (parameter, gradient, state) are walked in memory order, whatever that is: they
// must be dense and lie alike. Only a gradient may lie otherwise; it is copied into order first.
#pragma once
#include <algorithm>
#include <vector>

#include "array.h"
#include "copy.h"
#include "iterate.h"
#include "parallel.h"
#include "vec.h"

namespace rushlight {

constexpr int max_members = 5;  // parameter, gradient, three of state

// The arrays at one position of the lists.
struct Member {
  char* data[max_members];
  int64_t begin;             // where its elements begin in the long row
  double numbers[2];         // what the step needs for this one alone
  PyObject* made = nullptr;  // the array made for None, which the list owns
};

class Lists {
 public:
  ~Lists() {
    for (PyObject* array : owned_) Py_DECREF(array);
  }

  // Reads `count` lists of equally many arrays of one dtype, float32 or float64 (complex numbers count as two real ones);
  // false when they are anything else. Those below `written` are to be written. `lists[relaid]` may lie differently from
  // lists[0] (-1: none may). None in lists[fresh] stands for an array still to be made like the one in lists[0].
  bool read(PyObject* const* lists, int count, int written, int relaid = -1, int fresh = -1) {
    for (int k = 0; k < count; k++) {
      if (!lists[k] || !(PyList_CheckExact(lists[k]) || PyTuple_CheckExact(lists[k]))) return false;
      if (PySequence_Fast_GET_SIZE(lists[k]) != PySequence_Fast_GET_SIZE(lists[0])) return false;
    }
    members = PySequence_Fast_GET_SIZE(lists[0]);
    row_.resize(size_t(members));
    written_ = written;
    for (int64_t i = 0; i < members; i++) {
      Member& member = row_[size_t(i)];
      Array first;
      if (!first.read(PySequence_Fast_GET_ITEM(lists[0], i)) || !first.dense()) return false;
      if (i == 0) type_ = first.type;
      if (first.type != type_ || (written > 0 && !first.writeable())) return false;
      member.begin = size;
      member.data[0] = first.data;
      for (int k = 1; k < count; k++) {
        PyObject* item = PySequence_Fast_GET_ITEM(lists[k], i);
        if (k == fresh && item == Py_None) {
          item = new_array_like(first, type_);
          if (!item) return false;
          owned_.push_back(item);
          member.made = item;
        }
        Array other;
        if (!other.read(item) || other.type != type_ || !other.same_shape(first)) return false;
        if (k < written && !other.writeable()) return false;
        if (!other.same_strides(first)) {
          if (k != relaid) return false;
          item = new_array_like(first, type_);
          if (!item) return false;
          owned_.push_back(item);
          const Array ordered = view_of(item);
          copy_values(ordered, other);
          other = ordered;
        }
        member.data[k] = other.data;
      }
      size += first.size() * (complex() ? 2 : 1);
    }
    return members == 0 || lane() != Type::Other;
  }

  // The real type that the elements consist of; Other for what no step is made for.
  Type lane() const {
    switch (type_) {
      case Type::F32:
      case Type::C64: return Type::F32;
      case Type::F64:
      case Type::C128: return Type::F64;
      default: return Type::Other;
    }
  }
  Type type() const { return type_; }
  bool complex() const { return type_ == Type::C64 || type_ == Type::C128; }

  Member& operator[](int64_t i) { return row_[size_t(i)]; }

  // Calls body(member, at, block, count) for the parts of members in each block: `at` are pointers to the `count` elements
  // of the part. Threads share the blocks.
  template <class T, class Body>
  void each(int used, Body&& body) const {
    const auto block = [&](int64_t number) {
      int64_t from = number * block_elements;
      const int64_t to = std::min(size, from + block_elements);
      const auto after = std::upper_bound(row_.begin(), row_.end(), from, [](int64_t place, const Member& m) { return place < m.begin; });
      for (size_t i = size_t(after - row_.begin()) - 1; from < to; i++) {
        const Member& member = row_[i];
        const int64_t end = std::min(to, i + 1 < row_.size() ? row_[i + 1].begin : size);
        if (end <= from) continue;
        T* at[max_members];
        for (int k = 0; k < used; k++) at[k] = reinterpret_cast<T*>(member.data[k]) + (from - member.begin);
        body(member, at, number, end - from);
        from = end;
      }
    };
    const ReleaseGil released(size);
    if (size <= serial_elements || overlapping(int64_t(sizeof(T))))
      for (int64_t number = 0; number < blocks(); number++) block(number);
    else
      parallel(blocks(), block);
  }

  bool any_empty() const {
    for (size_t i = 0; i < row_.size(); i++)
      if (row_[i].begin == (i + 1 < row_.size() ? row_[i + 1].begin : size)) return true;
    return false;
  }

  int64_t blocks() const { return (size + block_elements - 1) / block_elements; }

  int64_t size = 0;     // elements of all members together
  int64_t members = 0;  // arrays in a list

 private:
  // Whether two of the written arrays share memory (a parameter that stands in the list twice): then order matters.
  bool overlapping(int64_t itemsize) const {
    std::vector<std::pair<char*, char*>> ranges;
    for (size_t i = 0; i < row_.size(); i++) {
      const int64_t end = i + 1 < row_.size() ? row_[i + 1].begin : size;
      for (int k = 0; k < written_; k++)
        if (end > row_[i].begin) ranges.emplace_back(row_[i].data[k], row_[i].data[k] + (end - row_[i].begin) * itemsize);
    }
    std::sort(ranges.begin(), ranges.end());
    for (size_t i = 1; i < ranges.size(); i++)
      if (ranges[i].first < ranges[i - 1].second) return true;
    return false;
  }

  std::vector<Member> row_;
  std::vector<PyObject*> owned_;
  Type type_ = Type::F32;
  int written_ = 0;
};

}  // namespace rushlight

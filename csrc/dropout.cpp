// Dropout: the noise, its product with the input and the mask for the gradient in one pass over memory.
//
// An element is kept where a uniform number of 53 bits (two words of the stream) is below 1 - p. Kept elements are
// multiplied by 1 / (1 - p), the others by 0, so that infinities and NaN come out as the product with the noise has them. The
// mask takes a byte an element; the gradient reads it and the cotangent, and no noise in the input's dtype is ever stored.
#include "owned.h"
#include "random.h"
#include "rows.h"

namespace rushlight {
namespace {

// 1 / (1 - p), divided in the dtype.
template <class T>
T scale_of(double p) {
  return T(1) / T(1 - p);
}

// Which of n <= lanes<T> elements are kept, from two words each.
template <class T>
Vec<Mask<T>> kept_ones(const uint32_t* words, int64_t n, int64_t threshold) {
  if constexpr (sizeof(T) == 4)
    return below(words, n, threshold);
  else
    return Vec<int64_t>(bits53(words_at(words, 2 * n))) < threshold;
}

template <class T>
void drop(Mersenne& state, const T* x, T* y, char* mask, int64_t count, double p) {
  constexpr int64_t L = lanes<T>;
  typedef int8_t Bytes __attribute__((vector_size(L)));
  const int64_t threshold = int64_t(std::ceil((1 - p) * 0x1p53));
  const Vec<Mask<T>> scale = Vec<Mask<T>>(splat(scale_of<T>(p)));
  draw<2>(state, count, 4, [=](const uint32_t* words, int64_t first, int64_t n) {
    for (int64_t i = 0; i < n; i += L) {
      const int64_t here = std::min(L, n - i), at = first + i;
      const Vec<Mask<T>> kept = kept_ones<T>(words + 2 * i, here, threshold);
      const Bytes bytes = __builtin_convertvector(kept & 1, Bytes);
      std::memcpy(mask + at, &bytes, size_t(here));
      const Vec<T> from = here == L ? load(x + at) : load_part(x + at, here);
      store_upto<T>(y + at, from * Vec<T>(kept & scale), here);
    }
  });
}

// "gen x p mask"
PyObject* dropout(PyObject* const* args) {
  Array x, mask;
  double p;
  if (!args[1] || !x.read(args[1]) || !plain_float(x.type)) return decline();
  if (!read_double(args[2], p) || !(p > 0 && p < 1)) return decline();
  Owned kept(given(args[3]) ? Py_NewRef(args[3]) : new_array(x.ndim, x.shape, Type::Bool));
  if (!kept || !mask.read(kept.get()) || mask.type != Type::Bool || !mask.same_shape(x) || !mask.writeable() || !mask.dense()) return decline();
  for (int i = 0; i < x.ndim; i++)  // the same order in memory
    if (x.shape[i] != 1 && x.strides[i] != mask.strides[i] * x.itemsize()) return decline();
  Source source;
  if (!source.open(args[0])) return decline();
  Owned result(new_array_like(x, x.type));
  if (!result) return nullptr;
  const Array y = view_of(result.get());
  if (x.type == Type::F32)
    drop(*source.state, x.as<float>(), y.as<float>(), mask.data, x.size(), p);
  else
    drop(*source.state, x.as<double>(), y.as<double>(), mask.data, x.size(), p);
  if (x.size() > 0 && !source.finish()) return nullptr;
  return tuple_of(std::move(result), std::move(kept));
}

template <class T>
void by_mask_row(char* const* at, int64_t count, const void* operation) {
  const Vec<Mask<T>> scale = Vec<Mask<T>>(splat(scale_of<T>(*static_cast<const double*>(operation))));
  T* const y = reinterpret_cast<T*>(at[0]);
  const T* const x = reinterpret_cast<const T*>(at[1]);
  each_vector<T>(count, [&](int64_t i, auto n) { store<T>(y + i, load<T>(x + i, n) * Vec<T>(load_mask<T>(at[2] + i, n) & scale), n); });
}

// "x mask p"
PyObject* dropout_by_mask(PyObject* const* args) {
  Array x, mask;
  double p;
  if (!args[0] || !args[1] || !x.read(args[0]) || !mask.read(args[1]) || mask.type != Type::Bool || !mask.same_shape(x)) return decline();
  if (!read_double(args[2], p) || !(p > 0 && p < 1)) return decline();
  const Array* const operands[] = {&x, &mask};
  switch (x.type) {
    case Type::F32: return elementwise({by_mask_row<float>, Type::F32}, operands, 2, nullptr, x.type, &p);
    case Type::F64: return elementwise({by_mask_row<double>, Type::F64}, operands, 2, nullptr, x.type, &p);
    default: return decline();
  }
}

const Family family("dropout", {
                                   {"dropout", "gen x p mask", dropout},
                                   {"dropout_by_mask", "x mask p", dropout_by_mask},
                               });

}  // namespace
}  // namespace rushlight

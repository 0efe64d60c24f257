// Rows as keys that sort like their elements, and sorting them.
//
// A key is an unsigned number that grows with the element: NaN is the greatest (all NaNs are equal), -0 equals 0. For the
// other direction all bits of a key are turned round. Equal keys keep their order, so a sorted row is the same whatever
// way it was found.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "array.h"

namespace rushlight {

// Unsigned and at least as wide as T.
template <class T>
using KeyOf = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template <class T>
inline KeyOf<T> key_of(T x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    constexpr uint32_t infinity = std::is_same_v<T, Half> ? 0x7c00 : 0x7f80;
    const uint32_t size = x.bits & 0x7fffu;
    const uint32_t key = size == 0 ? 0x8000u : x.bits & 0x8000u ? 0x8000u - size : 0x8000u + size;
    return size > infinity ? 0xffffu : key;
  } else if constexpr (std::is_floating_point_v<T>) {
    using K = KeyOf<T>;
    constexpr K top = K(1) << (sizeof(T) * 8 - 1);
    const T positive_zero = x + T(0);  // for -0
    K bits;
    std::memcpy(&bits, &positive_zero, sizeof bits);
    const K key = bits ^ (bits & top ? ~K(0) : top);
    return x != x ? ~K(0) : key;
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return uint64_t(x) ^ (uint64_t(1) << 63);
  } else {
    return uint32_t(int64_t(x) - int64_t(std::numeric_limits<T>::min()));
  }
}

// The keys of `n` elements that lie `step` bytes apart, all bits turned round with `flip`.
template <class K>
using MakeKeys = void (*)(K* keys, const char* x, int64_t step, int64_t n, bool flip);

// The maker of keys for a type, by whether it has keys of 32 or of 64 bits; nullptr for what does not sort.
template <class K>
MakeKeys<K> key_maker(Type type);
template <>
MakeKeys<uint32_t> key_maker(Type type);
template <>
MakeKeys<uint64_t> key_maker(Type type);

template <class K>
struct Pair {
  K key;
  K index;
};

// The memory that sorting n keys takes, in numbers of K.
constexpr int64_t sorting_room(int64_t n) { return 4 * n; }
// Writes the order in which `keys` ascend; room for sorting_room(n) numbers. n < 2^32.
template <class K>
void sort_keys(const K* keys, uint32_t* order, int64_t n, K* room);

constexpr int64_t short_row = 2 * RUSHLIGHT_VECTOR_BYTES;  // elements up to which counting ranks is the fastest
constexpr int64_t long_row = 1 << 17;  // elements from which all threads work on one row
// The order of the keys that `make` makes of n elements, on all threads; n >= long_row.
template <class K>
void sort_long_row(uint32_t* order, K* room, MakeKeys<K> make, const char* x, int64_t step, int64_t n, bool flip);

// y[i] = x[order[i]] (elements of `size` bytes, those of x `x_step` bytes apart; y may be nullptr) and index[i] = order[i].
void put_in_order(const uint32_t* order, int64_t n, int64_t size, char* y, const char* x, int64_t x_step, int64_t* index);

// Calls use(K()) for the width of the keys of a type; false for a type without.
template <class F>
bool with_key(Type type, F&& use) {
  if (key_maker<uint32_t>(type)) return use(uint32_t()), true;
  if (key_maker<uint64_t>(type)) return use(uint64_t()), true;
  return false;
}

}  // namespace rushlight

// What nearly every file includes, the standard headers among it: the build compiles it once for each instruction set
// instead of sixty times (tools/build_kernels.py). A file still includes what it uses, and never this.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "iterate.h"
#include "kernel.h"
#include "math.h"
#include "parallel.h"
#include "rows.h"

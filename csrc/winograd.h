// Winograd convolution (winograd.cpp): what conv.cpp asks it.
#pragma once
#include "conv.h"

namespace rushlight::conv {

// Whether Winograd runs where it suits (default: yes).
void set_winograd(bool on);
bool winograd_enabled();

// Whether Winograd is on, applies to this convolution and is faster than the direct method.
bool winograd_suits(const Geometry& shape);

void winograd_forward(const Geometry& shape, const Maps<const float>& x, const float* w, const float* bias, const Maps<float>& y);
void winograd_backward(const Geometry& shape, const Maps<const float>& g, const float* w, const Maps<float>& gx);
void winograd_weight(const Geometry& shape, const Maps<const float>& g, const Maps<const float>& x, float* gw);

}  // namespace rushlight::conv

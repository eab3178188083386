// What people read of an array: its range and its greatest elements.
#pragma once

#include <cstddef>
#include <vector>

namespace graphc {

// NaN if an element is.
struct Figures {
    double least, mean, greatest;
};

// Of at least one element.
Figures figures(const float* data, std::size_t size);

// Indices of the `top` greatest, of equal ones the first first; NaN comes last.
std::vector<std::size_t> ranked(const float* data, std::size_t size, std::size_t top);

}  // namespace graphc

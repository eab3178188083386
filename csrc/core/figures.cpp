#include "core/figures.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace graphc {

Figures figures(const float* data, std::size_t size) {
    float least = data[0], greatest = data[0];
    long double sum = 0;  // exact to the last bit of a double for all that is ever printed
    for (std::size_t i = 0; i < size; ++i) {
        least = data[i] < least ? data[i] : least;
        greatest = data[i] > greatest ? data[i] : greatest;
        sum += data[i];
        if (std::isnan(data[i])) {
            const double nan = std::numeric_limits<double>::quiet_NaN();
            return {nan, nan, nan};
        }
    }
    return {least, double(sum / static_cast<long double>(size)), greatest};
}

std::vector<std::size_t> ranked(const float* data, std::size_t size, std::size_t top) {
    std::vector<std::size_t> order(size);
    std::iota(order.begin(), order.end(), std::size_t(0));
    const auto is_before = [data](std::size_t a, std::size_t b) {
        if (data[a] > data[b] || data[a] < data[b]) return data[a] > data[b];
        const bool a_is_nan = std::isnan(data[a]), b_is_nan = std::isnan(data[b]);
        return a_is_nan != b_is_nan ? b_is_nan : a < b;
    };
    const auto end = order.begin() + std::ptrdiff_t(std::min(top, size));
    std::partial_sort(order.begin(), end, order.end(), is_before);
    order.resize(std::min(top, size));
    return order;
}

}  // namespace graphc
